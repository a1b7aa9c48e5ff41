"use client";

// What is open stands first and moves by itself; what is closed is a list like any other, with the same filters.
import type { AlertListRow } from "@drawdown/db";
import { useEffect, useMemo, useRef, useState } from "react";
import { useTranslations } from "use-intl";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { useHashTarget } from "@/console/hash-target.ts";
import { List } from "@/console/list.tsx";
import { useListAddress } from "@/console/list-address.ts";
import type { FilterSpec } from "@/console/list-filters.tsx";
import { useList } from "@/console/list-query.ts";
import { PageTitle } from "@/console/page-title.tsx";
import { PartFault, useKept } from "@/console/part.tsx";
import { useTRPC } from "@/trpc/client.ts";
import { useLive } from "@/trpc/live.ts";
import { Button } from "@/ui/button.tsx";
import { LineIndicator } from "@/ui/line.tsx";
import { EmptyState, SkeletonTable } from "@/ui/states.tsx";
import { AlertCard } from "@/views/alerts/alert-card.tsx";
import { alertColumns } from "@/views/alerts/alert-columns.tsx";

const KEYS = ["level", "kind", "key"] as const;
type Key = (typeof KEYS)[number];
const LEVELS = ["critical", "warning"] as const;
/** Drawn at once. */
const FIRST = 50;

type Filters = Partial<Record<Key, string>>;

export function AlertsView() {
  const t = useTranslations("alerts");
  const trpc = useTRPC();
  const address = useListAddress(KEYS);
  const { last, line, error } = useLive(trpc.alerts.live.subscriptionOptions());
  const open = useKept(last);
  useHashTarget(open.value !== undefined);
  return (
    <>
      <PageTitle note={t("note")} actions={<LineIndicator state={line} />}>
        {t("title")}
      </PageTitle>
      <div className="grid grid-cols-1 gap-6">
        {line === "down" && <FaultNotice error={error} beside={open.value !== undefined} />}
        <PartFault fault={line === "down" ? null : open.fault} />
        <Open alerts={open.value} filters={address.filters} failed={open.fault !== null || line === "down"} />
        <Closed address={address} open={open.value} />
      </div>
    </>
  );
}

function Open({ alerts, filters, failed }: { alerts: AlertListRow[] | undefined; filters: Filters; failed: boolean }) {
  const t = useTranslations("alerts");
  const [all, setAll] = useState(false);
  const chosen = alerts?.filter(
    ({ level, kind, key }) =>
      (filters.level ?? level) === level && (filters.kind ?? kind) === kind && (filters.key ?? key) === key,
  );
  const shown = all ? chosen : chosen?.slice(0, FIRST);
  return (
    <section aria-label={t("open.title")} className="grid gap-3">
      <h2 className="text-base font-semibold">
        {chosen === undefined ? t("open.title") : t("open.count", { count: chosen.length })}
      </h2>
      {shown === undefined ? (
        !failed && <SkeletonTable rows={3} columns={3} />
      ) : shown.length === 0 ? (
        <EmptyState title={t("open.none")}>{t("open.noneHelp")}</EmptyState>
      ) : (
        shown.map((alert) => <AlertCard key={alert.id} alert={alert} />)
      )}
      {chosen && shown && chosen.length > shown.length && (
        <Button onClick={() => setAll(true)}>{t("open.rest", { count: chosen.length - shown.length })}</Button>
      )}
    </section>
  );
}

type ClosedProps = { address: ReturnType<typeof useListAddress<Key>>; open: AlertListRow[] | undefined };

function Closed({ address, open }: ClosedProps) {
  const t = useTranslations("alerts");
  const { list, count } = useTRPC().alerts;
  const filters = address.filters as Filters & { level?: (typeof LEVELS)[number] };
  const listed = useList({ list, count, newer: null }, { filters }, address.page);
  const columns = useMemo(() => alertColumns(t), [t]);
  useReadAgain(open, listed.query.refetch);
  return (
    <section className="grid gap-3">
      <h2 className="text-base font-semibold">{t("closed.title")}</h2>
      <List<AlertListRow, Key>
        name="alerts"
        label={t("closed.title")}
        columns={columns}
        filters={filterSpecs(t)}
        address={address}
        {...listed}
        rowId={({ id }) => id}
        rowName={({ kind, id }) => `${kind} ${id}`}
        empty={{ title: t("closed.none"), help: t("closed.noneHelp") }}
      />
    </section>
  );
}

/** One that closes comes into this list by when it was opened, among those that are there: no count of newer rows would tell. */
function useReadAgain(open: AlertListRow[] | undefined, read: () => Promise<unknown>): void {
  const ids = open?.map(({ id }) => id).join();
  const seen = useRef(ids);
  useEffect(() => {
    if (seen.current !== undefined && ids !== seen.current) void read();
    seen.current = ids;
  }, [ids, read]);
}

function filterSpecs(t: ReturnType<typeof useTranslations<"alerts">>): FilterSpec<Key>[] {
  return [
    {
      key: "level",
      label: t("filter.level"),
      kind: "choice",
      options: LEVELS.map((value) => ({ value, label: t(`level.${value}`) })),
    },
    { key: "kind", label: t("filter.kind"), kind: "text" },
    { key: "key", label: t("filter.key"), kind: "text" },
  ];
}
