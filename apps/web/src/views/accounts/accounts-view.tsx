"use client";

// Every account with its owner and settled money; found by the beginning of a name or e-mail address, or by any id or key of it.
import type { AccountListRow } from "@drawdown/db";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { useTranslations } from "use-intl";
import { isZero } from "@/console/decimals.ts";
import { List } from "@/console/list.tsx";
import { useListAddress } from "@/console/list-address.ts";
import type { FilterSpec } from "@/console/list-filters.tsx";
import { useList } from "@/console/list-query.ts";
import { useTRPC } from "@/trpc/client.ts";
import { accountColumns } from "@/views/accounts/account-columns.tsx";

const KEYS = ["search", "type", "status", "overdue", "customer", "sort"] as const;
type Key = (typeof KEYS)[number];

const TYPES = ["user", "tenant"] as const;
const STATUSES = ["active", "frozen"] as const;

/** The router checks them again; what an address says may be anything. */
type Asked = {
  search?: string;
  type?: (typeof TYPES)[number];
  status?: (typeof STATUSES)[number];
  overdue?: "yes";
  customer?: string;
  sort?: "name";
};

export function AccountsView() {
  const t = useTranslations("accounts");
  const trpc = useTRPC();
  const address = useListAddress(KEYS);
  const filters = address.filters as Asked;
  const list = useList(trpc.accounts, { filters }, address.page);
  const customers = useQuery(trpc.accounts.customerTypes.queryOptions());
  const columns = useMemo(() => accountColumns(t), [t]);
  return (
    <List<AccountListRow, Key>
      name="accounts"
      label={t("title")}
      columns={columns}
      filters={filterSpecs(t, customers.data ?? [])}
      address={address}
      {...list}
      rowId={({ id }) => id}
      rowName={({ id, ownerName, ownerEmail }) => ownerName ?? ownerEmail ?? id}
      rowTone={({ overdueAmount, status }) =>
        isZero(overdueAmount) ? (status === "frozen" ? "warning" : undefined) : "critical"
      }
      empty={{ title: t("empty.title"), help: t("empty.help") }}
    />
  );
}

function filterSpecs(
  t: ReturnType<typeof useTranslations<"accounts">>,
  customers: readonly { id: string; name: string }[],
): FilterSpec<Key>[] {
  return [
    { key: "search", label: t("filter.search"), kind: "text", placeholder: t("filter.searchHint") },
    {
      key: "status",
      label: t("column.status"),
      kind: "choice",
      options: STATUSES.map((value) => ({ value, label: t(`status.${value}`) })),
    },
    {
      key: "type",
      label: t("column.type"),
      kind: "choice",
      options: TYPES.map((value) => ({ value, label: t(`type.${value}`) })),
    },
    {
      key: "overdue",
      label: t("column.overdue"),
      rare: true,
      kind: "choice",
      options: [{ value: "yes", label: t("filter.overdueOnly") }],
    },
    {
      key: "customer",
      label: t("column.customer"),
      rare: true,
      kind: "choice",
      options: customers.map(({ id, name }) => ({ value: id, label: name })),
    },
    {
      key: "sort",
      label: t("filter.sort"),
      rare: true,
      kind: "choice",
      options: [{ value: "name", label: t("filter.byName") }],
    },
  ];
}
