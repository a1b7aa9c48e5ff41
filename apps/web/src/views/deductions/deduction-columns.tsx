import type { Deduction } from "@drawdown/db";
import Link from "next/link";
import type { useTranslations } from "use-intl";
import { ExpandButton, type Expanded } from "@/console/expanded.tsx";
import { Amount } from "@/ui/amount.tsx";
import { Badge } from "@/ui/badge.tsx";
import type { Column } from "@/ui/data-table.tsx";
import { excerpt } from "@/ui/excerpt.ts";
import { Identifier } from "@/ui/identifier.tsx";
import { Moment } from "@/ui/moment.tsx";

type Words = ReturnType<typeof useTranslations<"deductions">>;

export function deductionColumns(t: Words, expanded: Expanded): Column<Deduction>[] {
  return [
    {
      id: "deduction",
      title: t("column.deduction"),
      cell: ({ deductionId, createdAt }) => (
        <span className="grid min-w-0 justify-items-start xl:min-w-60">
          <Identifier
            id={deductionId}
            href={`/trace/${encodeURIComponent(deductionId)}`}
            what={t("column.deduction")}
          />
          <Moment at={createdAt} className="text-xs text-quiet tabular-nums" />
        </span>
      ),
    },
    {
      id: "account",
      title: t("column.account"),
      cell: (row) => (
        <span className="grid min-w-0 justify-items-start xl:min-w-48">
          <Link className="link line-clamp-2" href={`/accounts/${row.accountId}`} prefetch={false}>
            <bdi>{excerpt(row.ownerName ?? row.accountId)}</bdi>
          </Link>
          <bdi className="line-clamp-3">{`${row.provider}/${row.model}`}</bdi>
          <span className="text-xs text-quiet">{tokens(t, row)}</span>
        </span>
      ),
    },
    {
      id: "cost",
      title: t("column.cost"),
      align: "end",
      cell: ({ cost, currency }) => <Amount value={cost} currency={currency} />,
    },
    { id: "before", title: t("column.before"), align: "end", cell: ({ balanceBefore }) => amountOr(t, balanceBefore) },
    { id: "after", title: t("column.after"), align: "end", cell: ({ balanceAfter }) => amountOr(t, balanceAfter) },
    { id: "seq", title: t("column.seq"), align: "end", cell: ({ accountSeq }) => accountSeq ?? t("none") },
    { id: "state", title: t("column.state"), cell: (row) => <State row={row} t={t} /> },
    {
      id: "why",
      title: t("detail.column"),
      align: "end",
      cell: ({ id, deductionId }) => (
        <ExpandButton expanded={expanded} id={id} label={t("detail.show", { id: deductionId })} />
      ),
    },
  ];
}

function tokens(t: Words, { inputTokens, outputTokens }: Deduction): string {
  return t("tokens", { input: inputTokens ?? "?", output: outputTokens ?? "?" });
}

function amountOr(t: Words, value: string | null) {
  return value === null ? t("unknown") : <Amount value={value} />;
}

function State({ row, t }: { row: Deduction; t: Words }) {
  if (row.settledAt === null) return <Badge tone="warning">{t("settled.no")}</Badge>;
  if (row.balanceCheck === "mismatch") return <Badge tone="critical">{t("check.mismatch")}</Badge>;
  if (row.balanceCheck === "missing") return <Badge tone="neutral">{t("check.missing")}</Badge>;
  return <Badge tone="ok">{t("settled.yes")}</Badge>;
}
