"use client";

// Whose it is, and what stands before and after it in the account's chain.
import type { Neighbour } from "@drawdown/billing";
import Link from "next/link";
import type { ReactNode } from "react";
import { useTranslations } from "use-intl";
import { accountHref, traceHref } from "@/console/navigation.ts";
import type { Traced } from "@/server/trace-router.ts";
import { Amount } from "@/ui/amount.tsx";
import { Card } from "@/ui/card.tsx";
import { Identifier } from "@/ui/identifier.tsx";
import { KeyValues } from "@/ui/key-values.tsx";

export function TraceFacts({ traced }: { traced: Traced }) {
  const t = useTranslations("trace");
  const { accountId, ownerId, accountType, shard, seq, deductionId, usageLog, previous, next, exports } = traced;
  const request = usageLog?.["request_id"] ?? traced.entry?.["request_id"];
  return (
    <Card title={t("facts")}>
      <KeyValues
        items={[
          ...(deductionId === null
            ? []
            : [{ label: t("deduction"), value: <Identifier id={deductionId} href={traceHref(deductionId)} /> }]),
          ...(typeof request === "string"
            ? [{ label: t("request"), value: <Identifier id={request} href={traceHref(request)} /> }]
            : []),
          ...(accountId === null
            ? []
            : [
                {
                  label: t("account"),
                  value: <Identifier id={accountId} href={accountHref(accountId)} />,
                  note: ownerId === null ? undefined : <bdi>{`${accountType} ${ownerId}`}</bdi>,
                },
              ]),
          ...(shard === null
            ? []
            : [
                {
                  label: t("shard"),
                  value: (
                    <Link className="link" href="/streams">
                      {shard}
                    </Link>
                  ),
                },
              ]),
          { label: t("seq"), value: seq ?? t("unknownSeq") },
          { label: t("previous"), value: <Beside link={previous} none={t("noPrevious")} /> },
          { label: t("next"), value: <Beside link={next} none={t(exports.length > 0 ? "noPrevious" : "noNext")} /> },
        ]}
      />
    </Card>
  );
}

function Beside({ link, none }: { link: Neighbour | null; none: string }): ReactNode {
  const t = useTranslations("trace");
  if (link === null) return <span className="text-faint">{none}</span>;
  const { deductionId, auditId, seq, amount } = link;
  return (
    <span className="flex flex-wrap items-baseline gap-x-2">
      <Link className="link" href={traceHref(deductionId ?? `audit:${auditId}`)} prefetch={false}>
        {deductionId === null ? t("creditSeq", { seq }) : t("seqOf", { seq })}
      </Link>
      <Amount value={amount} signed wrap />
    </span>
  );
}
