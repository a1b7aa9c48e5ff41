"use client";

// What became of each target.
import type { OperationItem } from "@drawdown/billing";
import { useEffect, useMemo } from "react";
import { useTranslations } from "use-intl";
import { List } from "@/console/list.tsx";
import { useListAddress } from "@/console/list-address.ts";
import { useList } from "@/console/list-query.ts";
import { traceHref } from "@/console/navigation.ts";
import { useTRPC } from "@/trpc/client.ts";
import { Amount } from "@/ui/amount.tsx";
import { Badge } from "@/ui/badge.tsx";
import type { Column } from "@/ui/data-table.tsx";
import { Identifier } from "@/ui/identifier.tsx";
import { Moment } from "@/ui/moment.tsx";
import type { Tone } from "@/ui/tone.ts";

const KEYS = ["outcome"] as const;
const OUTCOMES = ["applied", "already", "failed", "left"] as const;
type Outcome = (typeof OUTCOMES)[number];

const WATCH_MS = 1_500;

export function OperationItems({ id, over }: { id: string; over: boolean }) {
  const t = useTranslations("operations");
  const { items, countItems } = useTRPC().operations;
  const address = useListAddress(KEYS);
  const outcome = OUTCOMES.find((one) => one === address.filters.outcome);
  const filters = { operationId: id, ...(outcome === undefined ? {} : { outcome }) };
  // Their own order, whatever the address says.
  const page = { ...address.page, order: "oldest" as const };
  const list = useList({ list: items, count: countItems, newer: null }, { filters }, page, over ? false : WATCH_MS);
  const { refetch } = list.query;
  // When it is over, what was read while it ran is not the last word.
  useEffect(() => {
    if (over) void refetch();
  }, [over, refetch]);
  const columns = useMemo(() => itemColumns(t), [t]);
  return (
    <List<OperationItem, "outcome">
      name="operation-items"
      label={t("items")}
      columns={columns}
      filters={[
        {
          key: "outcome",
          label: t("item.outcome"),
          kind: "choice",
          options: OUTCOMES.map((value) => ({ value, label: t(`outcome.${value}`) })),
        },
      ]}
      address={address}
      {...list}
      rowId={({ n }) => String(n)}
      rowName={nameOf}
      rowTone={(item) => (item.outcome === "failed" ? "critical" : undefined)}
      ordered={false}
      exported={false}
      empty={{ title: t("noItems"), help: "" }}
    />
  );
}

const tones: Record<Outcome, Tone> = { applied: "ok", already: "neutral", failed: "critical", left: "warning" };

type Words = ReturnType<typeof useTranslations<"operations">>;

function itemColumns(t: Words): Column<OperationItem>[] {
  return [
    { id: "n", title: t("item.n"), align: "end", cell: ({ n }) => n },
    { id: "target", title: t("item.target"), cell: (item) => <Target item={item} /> },
    {
      id: "outcome",
      title: t("item.outcome"),
      cell: ({ outcome }) => <Badge tone={tones[outcome ?? "left"]}>{t(`outcome.${outcome ?? "left"}`)}</Badge>,
    },
    {
      id: "cost",
      title: t("item.cost"),
      align: "end",
      cell: ({ target }) => (typeof target["cost"] === "string" ? <Amount value={target["cost"]} /> : null),
    },
    { id: "detail", title: t("item.detail"), cell: ({ detail }) => <Detail detail={detail} /> },
    {
      id: "at",
      title: t("item.at"),
      cell: ({ finishedAt }) =>
        finishedAt === null ? (
          t("notYet")
        ) : (
          <Moment at={finishedAt} precision="milliseconds" className="whitespace-nowrap" />
        ),
    },
  ];
}

/** As the target was frozen: a dead letter, an entry, or a shard of a cleanup. */
function nameOf({ target }: OperationItem): string {
  const { deduction_id: deduction, dead_letter_id: letter, shard, entry_id: entry } = target;
  if (typeof deduction === "string") return deduction;
  if (typeof letter === "string") return `letter:${letter}`;
  return typeof entry === "string"
    ? `stream:deductions:${String(shard)}/${entry}`
    : `stream:deductions:${String(shard)}`;
}

function Target({ item }: { item: OperationItem }) {
  const name = nameOf(item);
  return (
    <span className="grid min-w-0 justify-items-start xl:min-w-56">
      <Identifier id={name} href={"cut_off_ms" in item.target ? "/streams" : traceHref(name)} />
    </span>
  );
}

function Detail({ detail }: { detail: OperationItem["detail"] }) {
  if (detail === null) return null;
  const { error_class: errorClass, message, ...more } = detail;
  if (typeof errorClass === "string")
    return (
      <span className="wrap-anywhere">
        <code className="font-mono text-xs">{errorClass}</code>{" "}
        <bdi className="text-quiet">{typeof message === "string" ? message : ""}</bdi>
      </span>
    );
  return <code className="font-mono text-xs text-quiet wrap-anywhere">{JSON.stringify(more)}</code>;
}
