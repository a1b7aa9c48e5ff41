import type { AccountListRow } from "@drawdown/db";
import Link from "next/link";
import type { useTranslations } from "use-intl";
import { isZero } from "@/console/decimals.ts";
import { Amount } from "@/ui/amount.tsx";
import { Badge } from "@/ui/badge.tsx";
import type { Column } from "@/ui/data-table.tsx";
import { excerpt } from "@/ui/excerpt.ts";
import { Identifier } from "@/ui/identifier.tsx";
import { Moment } from "@/ui/moment.tsx";

type Words = ReturnType<typeof useTranslations<"accounts">>;

export function accountColumns(t: Words): Column<AccountListRow>[] {
  return [
    {
      id: "owner",
      title: t("column.owner"),
      cell: ({ id, ownerName, ownerEmail }) => (
        <span className="grid min-w-0 justify-items-start">
          <Link className="link line-clamp-2 font-medium" href={`/accounts/${id}`} prefetch={false}>
            <bdi>{excerpt(ownerName ?? ownerEmail ?? t("unnamed"))}</bdi>
          </Link>
          {ownerName !== null && ownerEmail !== null && (
            <bdi className="line-clamp-2 text-xs text-quiet">{excerpt(ownerEmail)}</bdi>
          )}
          <Identifier id={id} what={t("column.id")} href={`/accounts/${id}`} />
        </span>
      ),
    },
    {
      id: "type",
      title: t("column.type"),
      cell: ({ type, customerType }) => (
        <span className="grid min-w-0">
          {t(`type.${type}`)}
          {customerType !== null && <bdi className="line-clamp-2 text-xs text-quiet">{customerType}</bdi>}
        </span>
      ),
    },
    {
      id: "balance",
      title: t("column.balance"),
      align: "end",
      cell: ({ balance, currency }) => <Amount value={balance} currency={currency} />,
    },
    {
      id: "overdue",
      title: t("column.overdue"),
      align: "end",
      cell: ({ overdueAmount }) =>
        isZero(overdueAmount) ? (
          <span className="text-faint">{t("none")}</span>
        ) : (
          <Amount value={overdueAmount} className="font-medium text-critical" />
        ),
    },
    { id: "limit", title: t("column.limit"), align: "end", cell: ({ creditLimit }) => <Amount value={creditLimit} /> },
    {
      id: "status",
      title: t("column.status"),
      cell: ({ status }) => <Badge tone={status === "frozen" ? "warning" : "ok"}>{t(`status.${status}`)}</Badge>,
    },
    {
      id: "opened",
      title: t("column.opened"),
      cell: ({ createdAt }) => <Moment at={createdAt} precision="minutes" className="whitespace-nowrap" />,
    },
  ];
}
