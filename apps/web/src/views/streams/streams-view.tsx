"use client";

// The streams, shard by shard. A row opens to its ids, its consumers and what is unaccounted in it.
import type { ProvenShard, StreamStats } from "@drawdown/billing";
import { Eraser } from "lucide-react";
import { useMemo, useState } from "react";
import { useTranslations } from "use-intl";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { useHashTarget } from "@/console/hash-target.ts";
import { useReasonAgainst } from "@/console/operator.tsx";
import { PageTitle } from "@/console/page-title.tsx";
import { PartFault, useKept } from "@/console/part.tsx";
import { ReplayDialog } from "@/console/replay-dialog.tsx";
import type { ReplayChoice } from "@/server/replays-router.ts";
import { useTRPC } from "@/trpc/client.ts";
import { useLive } from "@/trpc/live.ts";
import { Button } from "@/ui/button.tsx";
import { bytesText } from "@/ui/bytes.ts";
import { Card } from "@/ui/card.tsx";
import { DataTable } from "@/ui/data-table.tsx";
import { LineIndicator } from "@/ui/line.tsx";
import { Duration } from "@/ui/moment.tsx";
import { Stat, StatGroup } from "@/ui/stat.tsx";
import { SkeletonTable } from "@/ui/states.tsx";
import { CleanupDialog } from "@/views/streams/cleanup-dialog.tsx";
import { type ShardRow, shardColumns } from "@/views/streams/shard-columns.tsx";
import { ShardDetail } from "@/views/streams/shard-detail.tsx";

/** Null: closed. */
type Cleaning = { shard: number | null } | null;

export function StreamsView() {
  const t = useTranslations("streams");
  const trpc = useTRPC();
  const { last, line, error } = useLive(trpc.streams.live.subscriptionOptions());
  const streams = useKept(last?.streams);
  const proven = useKept(last?.proven);
  const [cleaning, setCleaning] = useState<Cleaning>(null);
  const [replaying, setReplaying] = useState<ReplayChoice | null>(null);
  const notAdmin = useReasonAgainst("admin");
  const reprocess = (shards?: number[]) => setReplaying({ kind: "unaccounted", ...(shards ? { shards } : {}) });
  return (
    <>
      <PageTitle
        note={t("note")}
        actions={
          <>
            <LineIndicator state={line} />
            <Button
              icon={<Eraser aria-hidden className="size-4" />}
              reason={notAdmin}
              onClick={() => setCleaning({ shard: null })}
            >
              {t("cleanup.open")}
            </Button>
          </>
        }
      >
        {t("title")}
      </PageTitle>
      <div className="grid grid-cols-1 gap-4">
        {line === "down" && <FaultNotice error={error} beside={streams.value !== undefined} />}
        <PartFault fault={line === "down" ? null : (streams.fault ?? proven.fault)} />
        {streams.value !== undefined ? (
          <>
            <Totals streams={streams.value} proven={proven.value} onReprocess={() => reprocess()} />
            <Shards
              streams={streams.value}
              proven={proven.value}
              onClean={(shard) => setCleaning({ shard })}
              onReprocess={(shard) => reprocess([shard])}
            />
          </>
        ) : (
          streams.fault === null && line !== "down" && <SkeletonTable rows={16} columns={8} />
        )}
      </div>
      <CleanupDialog
        cleaning={cleaning}
        shards={streams.value?.shards.map(({ shard }) => shard) ?? []}
        onClose={() => setCleaning(null)}
      />
      <ReplayDialog choice={replaying} onClose={() => setReplaying(null)} verb="reprocess" />
    </>
  );
}

type TotalsProps = { streams: StreamStats; proven: ProvenShard[] | undefined; onReprocess: () => void };

function Totals({ streams: { totals, redis, shards }, proven, onReprocess }: TotalsProps) {
  const t = useTranslations("streams");
  const notSupport = useReasonAgainst("support");
  const unaccounted = proven?.reduce((sum, one) => sum + one.unaccounted, 0);
  const memory = shards.reduce<number | null>(
    (sum, { memoryBytes }) => (sum === null || memoryBytes === null ? null : sum + memoryBytes),
    0,
  );
  const oldest = totals.oldestUnsettledMs;
  return (
    <StatGroup label={t("totals")}>
      <Stat label={t("total.length")} value={totals.length} note={t("total.lengthNote")} />
      <Stat label={t("total.lag")} value={totals.lag ?? t("unknown")} note={t("total.lagNote")} />
      <Stat label={t("total.pending")} value={totals.pending} note={t("total.pendingNote")} />
      <Stat
        label={t("total.oldest")}
        value={oldest === null ? t("nothing") : <Duration milliseconds={oldest} />}
        note={t("total.oldestNote")}
      />
      <Stat
        label={t("total.unaccounted")}
        value={unaccounted ?? t("unknown")}
        tone={unaccounted ? "warning" : undefined}
        note={
          unaccounted ? (
            <Button size="small" reason={notSupport} onClick={onReprocess}>
              {t("reprocess.all")}
            </Button>
          ) : (
            t("total.unaccountedNote")
          )
        }
      />
      <Stat
        label={t("total.memory")}
        value={memory === null ? t("unknown") : bytesText(memory)}
        note={redis.usedMemoryBytes !== null && t("total.memoryNote", { all: bytesText(redis.usedMemoryBytes) })}
      />
    </StatGroup>
  );
}

type ShardsProps = {
  streams: StreamStats;
  proven: ProvenShard[] | undefined;
  onClean: (shard: number) => void;
  onReprocess: (shard: number) => void;
};

function Shards({ streams, proven, onClean, onReprocess }: ShardsProps) {
  const t = useTranslations("streams");
  const [opened, setOpened] = useState<ReadonlySet<number>>(shardOfAddress);
  useHashTarget(true);
  const columns = useMemo(() => {
    const toggle = (shard: number) =>
      setOpened(
        (before) => new Set(before.has(shard) ? [...before].filter((one) => one !== shard) : [...before, shard]),
      );
    return shardColumns(t, opened, toggle);
  }, [t, opened]);
  const rows = streams.shards.map(
    (one): ShardRow => ({ ...one, proven: proven?.find(({ shard }) => shard === one.shard) }),
  );
  const detailOf = (row: ShardRow) =>
    opened.has(row.shard) ? (
      <ShardDetail row={row} onClean={() => onClean(row.shard)} onReprocess={() => onReprocess(row.shard)} />
    ) : null;
  return (
    <Card title={t("shards")} note={t("shardsNote")} flush>
      <DataTable<ShardRow>
        label={t("shards")}
        columns={columns}
        rows={rows}
        rowId={({ shard }) => String(shard)}
        rowName={({ shard }) => t("shard", { shard })}
        rowTone={({ proven: mark }) => (mark?.unaccounted ? "warning" : undefined)}
        below={detailOf}
      />
    </Card>
  );
}

/** An address with #shard-3 opens it. */
function shardOfAddress(): ReadonlySet<number> {
  const named = /^#shard-(\d{1,5})$/.exec(window.location.hash)?.[1];
  return new Set(named === undefined ? [] : [Number(named)]);
}
