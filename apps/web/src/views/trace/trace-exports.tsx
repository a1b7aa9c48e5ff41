"use client";

// The files of retention that hold what was exported of its time, and the commands that look for it there: the console reads no files.
import { searchFor } from "@drawdown/billing/command-line";
import { useTranslations } from "use-intl";
import { PROGRAM } from "@/console/act-command.ts";
import type { Traced } from "@/server/trace-router.ts";
import { Badge } from "@/ui/badge.tsx";
import { Card } from "@/ui/card.tsx";
import { CodeBlock } from "@/ui/code.tsx";
import { Identifier } from "@/ui/identifier.tsx";
import { KeyValues } from "@/ui/key-values.tsx";
import { Moment } from "@/ui/moment.tsx";

type Props = { traced: Pick<Traced, "id" | "deductionId" | "exports"> };

export function TraceExports({ traced: { id, deductionId, exports } }: Props) {
  const t = useTranslations("trace.export");
  if (exports.length === 0) return null;
  const searches = exports.map(({ name }) => searchFor(deductionId ?? id, name));
  return (
    <Card title={t("title")} note={t("note")}>
      <div className="grid grid-cols-1 gap-4">
        {exports.map((file) => (
          <section key={file.name} aria-label={file.name}>
            <KeyValues
              items={[
                { label: t("name"), value: <Identifier id={file.name} what={t("name")} /> },
                {
                  label: t("period"),
                  value: (
                    <>
                      <Moment at={file.from} /> – <Moment at={file.to} />
                    </>
                  ),
                },
                { label: t("deductions"), value: t("count", { count: file.deductions }) },
                {
                  label: t("removed"),
                  value:
                    file.removedAt === null ? (
                      <Badge tone="accent">{t("removing")}</Badge>
                    ) : (
                      <Moment at={file.removedAt} />
                    ),
                },
                { label: "SHA-256", value: <Identifier id={file.sha256} what="SHA-256" /> },
              ]}
            />
          </section>
        ))}
        <Command what={t("search")} text={searches.join("\n")} />
        <Command what={t("verify")} text={`${PROGRAM} retention verify`} />
      </div>
    </Card>
  );
}

function Command({ what, text }: { what: string; text: string }) {
  return (
    <div>
      <p className="mb-1 text-sm text-quiet">{what}</p>
      <CodeBlock what={what} text={text} />
    </div>
  );
}
