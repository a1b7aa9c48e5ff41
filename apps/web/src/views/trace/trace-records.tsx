"use client";

// What the stores have of it, exactly: the entry's bytes, the rows, the hold, the dead letter.
import Link from "next/link";
import { useTranslations } from "use-intl";
import { RawEntry } from "@/console/raw-entry.tsx";
import type { Traced } from "@/server/trace-router.ts";
import { Card } from "@/ui/card.tsx";
import { JsonBlock } from "@/ui/code.tsx";

export function TraceRecords({ traced }: { traced: Traced }) {
  const t = useTranslations("trace");
  const { raw, texts, hold, deadLetter } = traced;
  const records = [
    ["hold", hold],
    ["usageLog", texts.usageLog],
    ["audit", texts.audit],
    ["deadLetter", deadLetter],
  ] as const;
  const letter = deadLetter?.["id"];
  return (
    <>
      {raw !== null && (
        <Card title={t("record.entry")}>
          <RawEntry fields={raw.fields} {...(raw.base64 === undefined ? {} : { base64: raw.base64 })} />
        </Card>
      )}
      {records.map(
        ([name, value]) =>
          value !== null && (
            <Card
              key={name}
              title={t(`record.${name}`)}
              actions={
                name === "deadLetter" &&
                typeof letter === "string" && (
                  <Link
                    className="link text-sm"
                    href={`/dead-letters?id=${encodeURIComponent(letter)}`}
                    prefetch={false}
                  >
                    {t("toLetter")}
                  </Link>
                )
              }
            >
              {typeof value === "string" ? (
                <JsonBlock what={t(`record.${name}`)} text={value} />
              ) : (
                <JsonBlock what={t(`record.${name}`)} value={value} />
              )}
            </Card>
          ),
      )}
    </>
  );
}
