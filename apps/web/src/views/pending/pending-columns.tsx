import type { useTranslations } from "use-intl";
import { accountHref, traceHref } from "@/console/navigation.ts";
import type { PendingRow } from "@/server/pending-router.ts";
import { Amount } from "@/ui/amount.tsx";
import { Badge } from "@/ui/badge.tsx";
import type { Column } from "@/ui/data-table.tsx";
import { Identifier } from "@/ui/identifier.tsx";
import { Duration, Moment } from "@/ui/moment.tsx";

type Words = ReturnType<typeof useTranslations<"pending">>;

/** Live or dead, in a word. */
export function Holder({ row, t }: { row: Pick<PendingRow, "consumer" | "live">; t: Words }) {
  return (
    <span className="inline-flex flex-wrap items-baseline gap-x-2">
      <bdi className="wrap-anywhere">{row.consumer}</bdi>
      <Badge tone={row.live ? "ok" : "warning"}>{row.live ? t("live") : t("dead")}</Badge>
    </span>
  );
}

export function pendingColumns(t: Words, onShow: (name: string) => void): Column<PendingRow>[] {
  return [
    {
      id: "entry",
      title: t("column.entry"),
      cell: ({ name, entryId }) => (
        <button
          type="button"
          className="link font-mono whitespace-nowrap"
          onClick={() => onShow(name)}
          aria-label={t("show", { id: entryId })}
        >
          {entryId}
        </button>
      ),
    },
    { id: "shard", title: t("column.shard"), align: "end", cell: ({ shard }) => shard },
    { id: "consumer", title: t("column.consumer"), cell: (row) => <Holder row={row} t={t} /> },
    {
      id: "idle",
      title: t("column.idle"),
      align: "end",
      cell: ({ idleMs }) => <Duration milliseconds={idleMs} />,
    },
    { id: "deliveries", title: t("column.deliveries"), align: "end", cell: ({ deliveries }) => deliveries },
    { id: "appended", title: t("column.appended"), cell: ({ appendedAt }) => <Moment at={appendedAt} /> },
    {
      id: "deduction",
      title: t("column.deduction"),
      cell: ({ deductionId, kind, entryId, unreadable }) => {
        if (deductionId !== null) return <Identifier id={deductionId} href={traceHref(deductionId)} />;
        if (unreadable !== null) return <Badge tone="critical">{unreadable.errorClass}</Badge>;
        return <Identifier id={`${kind} ${entryId}`} copy={false} />;
      },
    },
    {
      id: "account",
      title: t("column.account"),
      cell: ({ accountId }) =>
        accountId === null ? t("unknown") : <Identifier id={accountId} href={accountHref(accountId)} />,
    },
    {
      id: "cost",
      title: t("column.cost"),
      align: "end",
      cell: ({ cost }) => (cost === null ? t("unknown") : <Amount value={cost} />),
    },
  ];
}
