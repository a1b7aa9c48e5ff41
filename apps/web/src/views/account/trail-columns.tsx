import type { TrailRow } from "@drawdown/billing";
import Link from "next/link";
import type { useTranslations } from "use-intl";
import { ExpandButton, type Expanded } from "@/console/expanded.tsx";
import { Amount } from "@/ui/amount.tsx";
import { Badge } from "@/ui/badge.tsx";
import type { Column } from "@/ui/data-table.tsx";
import { Moment } from "@/ui/moment.tsx";

type Words = ReturnType<typeof useTranslations<"accounts.trail">>;

export function trailColumns(t: Words, currency: string, expanded: Expanded): Column<TrailRow>[] {
  return [
    { id: "seq", title: t("column.seq"), align: "end", cell: ({ seq }) => <span data-seq={seq}>{seq}</span> },
    {
      id: "at",
      title: t("column.at"),
      cell: ({ movedAt, createdAt }) => (
        <Moment at={movedAt ?? createdAt} className="whitespace-nowrap tabular-nums max-md:whitespace-normal" />
      ),
    },
    { id: "what", title: t("column.what"), grow: true, cell: (row) => <What row={row} t={t} /> },
    {
      id: "amount",
      title: t("column.amount"),
      align: "end",
      cell: (row) => <Amount value={movedBy(row)} signed currency={currency} />,
    },
    { id: "before", title: t("column.before"), align: "end", cell: ({ balanceBefore }) => amountOr(t, balanceBefore) },
    { id: "after", title: t("column.after"), align: "end", cell: ({ balanceAfter }) => amountOr(t, balanceAfter) },
    {
      id: "why",
      title: t("column.why"),
      align: "end",
      cell: ({ id, seq }) => <ExpandButton expanded={expanded} id={id} label={t("whyOf", { seq })} />,
    },
  ];
}

/** Of a credit that brings others along: what they move together. */
function movedBy({ kind, amount, step }: TrailRow): string {
  return kind === "usage" ? amount : (step ?? amount);
}

function amountOr(t: Words, value: string | null) {
  return value === null ? t("unknown") : <Amount value={value} />;
}

function What({ row, t }: { row: TrailRow; t: Words }) {
  const { kind, usage, deductionId } = row;
  if (kind !== "usage") return <Credit row={row} t={t} />;
  return (
    <span className="grid min-w-0">
      <Link
        className="link line-clamp-2"
        href={`/trace/${encodeURIComponent(deductionId ?? "")}`}
        prefetch={false}
        title={deductionId ?? undefined}
      >
        <bdi>{usage === null ? deductionId : `${usage.provider}/${usage.model}`}</bdi>
      </Link>
      <span className="text-xs text-quiet">
        {usage === null
          ? t("usageGone")
          : t("tokens", { input: usage.inputTokens ?? "?", output: usage.outputTokens ?? "?" })}
      </span>
    </span>
  );
}

const CATEGORIES = ["usage", "top_up", "refund", "adjustment"] as const;

function Credit({ row: { kind, category, reason, actor, reference, covered }, t }: { row: TrailRow; t: Words }) {
  const known = CATEGORIES.find((one) => one === category);
  const word = kind === "repair" ? t("repair") : known === undefined ? category : t(`category.${known}`);
  const said = [actor, reference].filter((text) => text !== null);
  return (
    <span className="grid min-w-0 gap-0.5">
      <span className="flex flex-wrap items-center gap-1.5">
        <Badge tone={kind === "repair" ? "warning" : "accent"}>{word}</Badge>
        {covered.length > 0 && <span className="text-xs text-quiet">{t("covers", { count: covered.length })}</span>}
      </span>
      {reason !== null && <bdi className="line-clamp-2">{reason}</bdi>}
      {said.length > 0 && (
        <span className="line-clamp-2 text-xs text-quiet">
          {said.map((text, place) => (
            <span key={text}>
              {place > 0 && " · "}
              <bdi>{text}</bdi>
            </span>
          ))}
        </span>
      )}
    </span>
  );
}
