"use client";

// Where it piles up: a cell for each shard, its colour by how many wait, and the number in it for who sees no colour.
import type { ShardStats } from "@drawdown/billing";
import Link from "next/link";
import { useTranslations } from "use-intl";
import { PartComing } from "@/console/part.tsx";
import { Card } from "@/ui/card.tsx";
import { durationText } from "@/ui/time.ts";
import type { KeptStreams } from "@/views/overview/parts.ts";
import { LATE_MS } from "@/views/overview/verdict.ts";

/** The strongest colour still leaves the text 4.5:1. */
const MOST_PERCENT = 34;
const FULL = 10_000;

export function ShardMap({ streams: { value, fault } }: { streams: KeptStreams }) {
  const t = useTranslations("overview");
  return (
    <Card title={t("shards.title")} note={t("shards.note")}>
      {value === undefined ? (
        <PartComing fault={fault} lines={4} />
      ) : (
        <ul className="grid grid-cols-[repeat(auto-fill,minmax(4.75rem,1fr))] gap-1.5">
          {value.shards.map((one) => (
            <li key={one.shard} className="min-w-0">
              <Cell stats={one} />
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function Cell({ stats }: { stats: ShardStats }) {
  const t = useTranslations("overview");
  const { shard, unsettled, pending, lag, oldestUnsettledMs } = stats;
  const waits = unsettled ?? t("unknown");
  const oldest = oldestUnsettledMs === null ? t("figure.none") : durationText(oldestUnsettledMs);
  const late = (oldestUnsettledMs ?? 0) > LATE_MS;
  const color = late ? "var(--color-critical)" : "var(--color-warning)";
  return (
    <Link
      href={`/streams#shard-${shard}`}
      prefetch={false}
      aria-label={t("shards.cell", { shard, backlog: waits, pending, lag: lag ?? t("unknown"), oldest })}
      className="flex h-full flex-col rounded-md border border-line px-2 py-1.5 tabular-nums hover:border-line-strong"
      style={{ background: `color-mix(in oklab, ${color} ${strength(stats)}%, var(--color-surface))` }}
    >
      <span className="text-2xs text-quiet">{t("shards.name", { shard })}</span>
      <span className="text-base leading-6 font-semibold wrap-anywhere">{waits}</span>
      <span className="text-2xs text-quiet">{t("shards.pending", { pending })}</span>
      <span className="text-2xs text-quiet">{oldest}</span>
    </Link>
  );
}

/** Percent of colour: by the number of digits, so that ten already show beside ten thousand. What is unknown shows as something. */
function strength({ unsettled, pending }: ShardStats): number {
  const waits = Math.max(unsettled ?? 1, pending);
  if (waits === 0) return 0;
  return Math.round(8 + (MOST_PERCENT - 8) * Math.min(1, Math.log10(waits + 1) / Math.log10(FULL)));
}
