"use client";

// The audit trail: every charge and credit in one list, by seq, with what is missing or wrong drawn in its place. The list is of a pinned
// window; what came since waits above it.
import type { TrailRow } from "@drawdown/billing";
import { lazy, Suspense, useMemo } from "react";
import { useTranslations } from "use-intl";
import { useExpanded } from "@/console/expanded.tsx";
import { List } from "@/console/list.tsx";
import { useListAddress } from "@/console/list-address.ts";
import type { FilterSpec } from "@/console/list-filters.tsx";
import { useList } from "@/console/list-query.ts";
import { useTRPC } from "@/trpc/client.ts";
import { SkeletonLines } from "@/ui/states.tsx";
import { Closing } from "@/views/account/closing.tsx";
import { TrailBreaks } from "@/views/account/trail-breaks.tsx";
import { trailColumns } from "@/views/account/trail-columns.tsx";
import { TrailJump } from "@/views/account/trail-jump.tsx";
import { WaitingCredits } from "@/views/account/waiting-credits.tsx";

/** Why a charge cost that: for who asks. */
const TrailDetail = lazy(async () => ({ default: (await import("@/views/account/trail-detail.tsx")).TrailDetail }));

const KEYS = ["category", "from", "to", "key", "model"] as const;
type Key = (typeof KEYS)[number];

const CATEGORIES = ["usage", "top_up", "refund", "adjustment"] as const;

/** The router checks them again; what an address says may be anything. */
type Asked = { category?: (typeof CATEGORIES)[number]; from?: string; to?: string; key?: string; model?: string };

type Props = { accountId: string; currency: string };

export function Trail({ accountId, currency }: Props) {
  const t = useTranslations("accounts.trail");
  const address = useListAddress(KEYS);
  const filters = address.filters as Asked;
  const { trail, trailCount, trailNewer } = useTRPC().account;
  const list = useList({ list: trail, count: trailCount, newer: trailNewer }, { accountId, filters }, address.page);
  const expanded = useExpanded();
  const columns = useMemo(() => trailColumns(t, currency, expanded), [t, currency, expanded]);
  const newest = address.page.order === "newest";
  const breaks = (row: TrailRow) =>
    row.problems.length + row.waiting.length === 0 ? null : <TrailBreaks row={row} accountId={accountId} />;
  const below = (row: TrailRow) => {
    const under = newest ? breaks(row) : null;
    if (!expanded.has(row.id)) return under;
    return (
      <>
        <Suspense fallback={<SkeletonLines lines={3} />}>
          <TrailDetail row={row} currency={currency} />
        </Suspense>
        {under}
      </>
    );
  };
  return (
    <div className="grid grid-cols-1 gap-3">
      <h2 className="sr-only">{t("title")}</h2>
      <TrailJump
        accountId={accountId}
        currency={currency}
        order={address.page.order}
        onPlace={(cursor) => address.goTo(cursor, list.query.data?.pin ?? "")}
      />
      <WaitingCredits accountId={accountId} currency={currency} />
      <List<TrailRow, Key>
        name="account-trail"
        label={t("title")}
        columns={columns}
        filters={filterSpecs(t)}
        address={address}
        exportedOf={{ account: accountId }}
        {...list}
        rowId={({ id }) => id}
        rowName={({ seq }) => t("rowName", { seq })}
        rowTone={({ problems }) => (problems.some(({ accepted }) => accepted === null) ? "critical" : undefined)}
        // What is missing lies between this link and the one with the lower seq.
        {...(newest ? {} : { above: breaks })}
        below={below}
        empty={{ title: t("empty"), help: t("emptyHelp") }}
      />
      <Closing accountId={accountId} currency={currency} />
    </div>
  );
}

function filterSpecs(t: ReturnType<typeof useTranslations<"accounts.trail">>): FilterSpec<Key>[] {
  return [
    {
      key: "category",
      label: t("filter.category"),
      kind: "choice",
      options: CATEGORIES.map((value) => ({ value, label: t(`category.${value}`) })),
    },
    { key: "from", label: t("filter.from"), kind: "moment" },
    { key: "to", label: t("filter.to"), kind: "moment" },
    { key: "key", label: t("filter.key"), kind: "text", rare: true },
    { key: "model", label: t("filter.model"), kind: "text", rare: true },
  ];
}
