/** `drawdown stats`: what the streams look like, what runs by itself, and which alerts are open. What Redis does not tell is unknown, never zero. */
import { readStats, type ShardStats, type Stats } from "@drawdown/billing";
import { listOpenAlerts, listSchedules, type ScheduleState } from "@drawdown/db";
import { withBilling } from "../stores.ts";
import { duration, print, printJson, printPairs, printTable } from "./output.ts";

type Alerts = Awaited<ReturnType<typeof listOpenAlerts>>;

export async function statsCommand(options: { json: boolean }): Promise<void> {
  await withBilling(async (billing, db) => {
    const stats = await readStats(billing);
    const schedules = await listSchedules(db);
    const alerts = await listOpenAlerts(db);
    if (options.json) printJson(document(stats, schedules, alerts));
    else printAll(stats, schedules, alerts);
  });
}

function document({ shards, totals, redis }: Stats, schedules: readonly ScheduleState[], alerts: Alerts) {
  return {
    alerts: alerts.map(({ id, level, kind, key, message, details, openedAt }) => ({
      id,
      level,
      kind,
      key,
      message,
      opened_at: openedAt,
      details,
    })),
    totals: {
      length: totals.length,
      lag: totals.lag,
      pending: totals.pending,
      unsettled: totals.unsettled,
      oldest_pending_ms: totals.oldestPendingMs,
      oldest_unsettled_ms: totals.oldestUnsettledMs,
      settled_per_second: totals.settledPerSecond,
      drain_ms: totals.drainMs,
      open_dead_letters: totals.openDeadLetters,
      open_alerts: totals.openAlerts,
    },
    redis: {
      used_memory_bytes: redis.usedMemoryBytes,
      max_memory_bytes: redis.maxMemoryBytes,
      memory_share: redis.memoryShare,
    },
    shards: shards.map((shard) => ({
      shard: shard.shard,
      length: shard.length,
      lag: shard.lag,
      pending: shard.pending,
      unsettled: shard.unsettled,
      oldest_pending_ms: shard.oldestPendingMs,
      oldest_unsettled_ms: shard.oldestUnsettledMs,
      first_id: shard.firstId,
      last_id: shard.lastId,
      last_delivered_id: shard.lastDeliveredId,
      memory_bytes: shard.memoryBytes,
      consumers: shard.consumers.map(({ name, pending, idleMs, inactiveMs }) => ({
        name,
        pending,
        idle_ms: idleMs,
        inactive_ms: inactiveMs,
      })),
    })),
    schedules: schedules.map(({ name, running, lastRunAt, lastResult, nextRunAt, settings }) => ({
      name,
      running,
      last_run: lastRunAt,
      last_result: lastResult,
      next_run: nextRunAt,
      settings,
    })),
  };
}

function printAll({ shards, totals, redis }: Stats, schedules: readonly ScheduleState[], alerts: Alerts): void {
  printTable([
    ["shard", "length", "lag", "pending", "oldest pending", "memory", "last id"],
    ...shards.filter(({ length }) => length > 0).map(row),
    ["all", String(totals.length), known(totals.lag), String(totals.pending), age(totals.oldestPendingMs), "", ""],
  ]);
  print("");
  printPairs([
    ["unsettled", known(totals.unsettled)],
    ["oldest unsettled", age(totals.oldestUnsettledMs)],
    ["settled per second", totals.settledPerSecond.toFixed(1)],
    ["time to drain", totals.drainMs === null ? "unknown" : duration(totals.drainMs)],
    ["dead letters open", String(totals.openDeadLetters)],
    ["alerts open", String(totals.openAlerts)],
    ["memory", memory(redis)],
  ]);
  print("");
  printTable([
    ["schedule", "running", "last run", "outcome", "next run"],
    ...schedules.map(({ name, running, lastRunAt, lastResult, nextRunAt }) => [
      name,
      running ? "yes" : "no",
      lastRunAt?.toISOString() ?? "-",
      typeof lastResult?.["outcome"] === "string" ? lastResult["outcome"] : "-",
      nextRunAt.toISOString(),
    ]),
  ]);
  if (alerts.length === 0) return;
  print("");
  printTable([
    ["open alert", "level", "about", "since", ""],
    ...alerts.map(({ kind, level, key, openedAt, message }) => [kind, level, key, openedAt.toISOString(), message]),
  ]);
}

function row(shard: ShardStats): string[] {
  const { length, lag, pending, oldestPendingMs, memoryBytes, lastId } = shard;
  const cells = [String(shard.shard), String(length), known(lag), String(pending), age(oldestPendingMs)];
  return [...cells, bytes(memoryBytes), lastId ?? "unknown"];
}

function memory({ usedMemoryBytes, memoryShare }: Stats["redis"]): string {
  const share = memoryShare === null ? "no limit known" : `${Math.round(memoryShare * 100)} % of the limit`;
  return `${bytes(usedMemoryBytes)}, ${share}`;
}

function bytes(value: number | null): string {
  if (value === null) return "unknown";
  return value < 1_048_576 ? `${Math.ceil(value / 1_024)} kB` : `${(value / 1_048_576).toFixed(1)} MB`;
}

function known(value: number | null): string {
  return value === null ? "unknown" : String(value);
}

function age(ms: number | null): string {
  return ms === null ? "-" : duration(ms);
}
