"use client";

// The usage_log explorer: every settled deduction with the balance before and after it.
import type { Deduction } from "@drawdown/db";
import { useMemo } from "react";
import { useTranslations } from "use-intl";
import { DeductionDetail } from "@/console/deduction-detail.tsx";
import { useExpanded } from "@/console/expanded.tsx";
import { List } from "@/console/list.tsx";
import { useListAddress } from "@/console/list-address.ts";
import type { FilterSpec } from "@/console/list-filters.tsx";
import { useList } from "@/console/list-query.ts";
import { useTRPC } from "@/trpc/client.ts";
import { deductionColumns } from "@/views/deductions/deduction-columns.tsx";

const KEYS = ["id", "account", "key", "provider", "model", "from", "to", "check", "source", "settled", "flag"] as const;
type Key = (typeof KEYS)[number];

const CHECKS = ["ok", "missing", "mismatch"] as const;
const SOURCES = ["provider", "partial", "estimated", "none", "reported", "unknown"] as const;
const FLAGS = ["customer_type_mismatch", "older_producer"] as const;

/** The router checks them again; what an address says may be anything. */
type Asked = {
  check?: (typeof CHECKS)[number];
  source?: (typeof SOURCES)[number];
  settled?: "yes" | "no";
  flag?: (typeof FLAGS)[number];
};

export function DeductionsView() {
  const t = useTranslations("deductions");
  const trpc = useTRPC();
  const address = useListAddress(KEYS);
  const filters = address.filters as Asked;
  const list = useList(trpc.deductions, { filters }, address.page);
  const expanded = useExpanded();
  const columns = useMemo(() => deductionColumns(t, expanded), [t, expanded]);
  const below = ({ id, deductionId }: Deduction) =>
    expanded.has(id) ? <DeductionDetail deductionId={deductionId} /> : null;
  return (
    <List<Deduction, Key>
      name="deductions"
      label={t("title")}
      columns={columns}
      filters={filterSpecs(t)}
      address={address}
      {...list}
      rowId={({ id }) => id}
      rowName={({ deductionId }) => deductionId}
      rowTone={({ settledAt, balanceCheck }) =>
        settledAt === null ? "warning" : balanceCheck === "mismatch" ? "critical" : undefined
      }
      below={below}
      empty={{ title: t("empty.title"), help: t("empty.help") }}
    />
  );
}

function filterSpecs(t: ReturnType<typeof useTranslations<"deductions">>): FilterSpec<Key>[] {
  const text = (key: Key & ("id" | "account" | "key" | "provider" | "model")) => ({
    key,
    label: t(`filter.${key}`),
    kind: "text" as const,
  });
  return [
    text("id"),
    text("account"),
    text("key"),
    text("model"),
    { ...text("provider"), rare: true },
    { key: "from", label: t("filter.from"), kind: "moment" },
    { key: "to", label: t("filter.to"), kind: "moment" },
    {
      key: "check",
      label: t("filter.check"),
      rare: true,
      kind: "choice",
      options: CHECKS.map((value) => ({ value, label: t(`check.${value}`) })),
    },
    {
      key: "source",
      label: t("filter.source"),
      rare: true,
      kind: "choice",
      options: SOURCES.map((value) => ({ value, label: t(`source.${value}`) })),
    },
    {
      key: "settled",
      label: t("filter.settled"),
      rare: true,
      kind: "choice",
      options: (["yes", "no"] as const).map((value) => ({ value, label: t(`settled.${value}`) })),
    },
    {
      key: "flag",
      label: t("filter.flag"),
      rare: true,
      kind: "choice",
      options: FLAGS.map((value) => ({ value, label: t(`flag.${value}`) })),
    },
  ];
}
