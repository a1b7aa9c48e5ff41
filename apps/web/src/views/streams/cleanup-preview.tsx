"use client";

import type { CleanedShard, CleanupPreview } from "@drawdown/billing";
import { useTranslations } from "use-intl";
import { Identifier } from "@/ui/identifier.tsx";
import { Moment } from "@/ui/moment.tsx";
import { Stat, StatGroup } from "@/ui/stat.tsx";

const REASONS = [
  "too_young",
  "unread",
  "pending",
  "not_acked",
  "unaccounted",
  "half_settled",
  "dead_lettered",
] as const satisfies readonly (keyof CleanedShard["kept"])[];

/** What would go, and what would stay and why, shard by shard. */
export function PreviewTable({ preview, nothing }: { preview: CleanupPreview; nothing: boolean }) {
  const t = useTranslations("streams");
  const { trimmed, kept, danglingCleared, consumersRemoved, shards, cutOffMs } = preview;
  return (
    <section aria-label={t("cleanup.found")} className="grid gap-3">
      <StatGroup>
        <Stat label={t("cleanup.goes")} value={trimmed} />
        <Stat label={t("cleanup.stays")} value={kept} />
        <Stat label={t("cleanup.dangling")} value={danglingCleared} />
        <Stat label={t("cleanup.dead")} value={consumersRemoved.length} />
      </StatGroup>
      <p className="text-sm">
        {t("cleanup.cutOff")} <Moment at={new Date(cutOffMs)} precision="milliseconds" both />
      </p>
      {nothing && <p className="text-quiet">{t("cleanup.nothing")}</p>}
      <ul
        // Scrolls by keyboard as well.
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        tabIndex={0}
        className="grid max-h-72 gap-2 overflow-y-auto"
      >
        {shards.map((shard) => (
          <li key={shard.shard} className="grid gap-1 rounded-md border border-line px-3 py-2">
            <ShardPreview shard={shard} />
          </li>
        ))}
      </ul>
      {consumersRemoved.length > 0 && (
        <p className="text-xs text-quiet wrap-anywhere">
          {t("cleanup.deadNames")} <bdi>{consumersRemoved.join(", ")}</bdi>
        </p>
      )}
    </section>
  );
}

function ShardPreview({ shard: one }: { shard: CleanedShard }) {
  const t = useTranslations("streams");
  const { shard, trimmed, kept, length, oldestTrimmedId, newestTrimmedId } = one;
  const reasons = REASONS.filter((reason) => kept[reason] > 0);
  return (
    <>
      <p className="flex flex-wrap gap-x-3">
        <span className="font-medium">{t("shard", { shard })}</span>
        <span>{t("cleanup.removed", { count: trimmed })}</span>
        <span className="text-quiet">{t("cleanup.kept", { count: length })}</span>
      </p>
      {oldestTrimmedId !== null && newestTrimmedId !== null && (
        <p className="flex flex-wrap items-center gap-x-2 text-xs text-quiet">
          {t("cleanup.oldest")} <EntryOf id={oldestTrimmedId} /> {t("cleanup.newest")} <EntryOf id={newestTrimmedId} />
        </p>
      )}
      {reasons.length > 0 && (
        <p className="text-xs text-quiet">
          {reasons
            .map((reason) => t("cleanup.because", { count: kept[reason], reason: t(`kept.${reason}`) }))
            .join(" · ")}
        </p>
      )}
    </>
  );
}

function EntryOf({ id }: { id: string }) {
  return (
    <>
      <Identifier id={id} copy={false} />
      <span className="text-faint">
        (<Moment at={new Date(Number(id.split("-")[0]))} />)
      </span>
    </>
  );
}
