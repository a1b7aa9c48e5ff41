/** `drawdown stats`: what the streams look like. What Redis does not tell is shown as unknown, never as zero. */
import { readStats, type ShardStats, type Stats } from "@drawdown/billing";
import { print, printJson } from "./cli-output.ts";
import { withBilling } from "./stores.ts";

export async function statsCommand(options: { json: boolean }): Promise<void> {
  await withBilling(async (billing) => {
    const stats = await readStats(billing);
    if (options.json) printJson(document(stats));
    else print(table(stats));
  });
}

function document({ shards, totals, redis }: Stats) {
  return {
    totals: {
      length: totals.length,
      lag: totals.lag,
      pending: totals.pending,
      oldest_pending_ms: totals.oldestPendingMs,
      open_dead_letters: totals.openDeadLetters,
      open_alerts: totals.openAlerts,
    },
    redis: { used_memory_bytes: redis.usedMemoryBytes, max_memory_bytes: redis.maxMemoryBytes },
    shards: shards.map((shard) => ({
      shard: shard.shard,
      length: shard.length,
      lag: shard.lag,
      pending: shard.pending,
      oldest_pending_ms: shard.oldestPendingMs,
      first_id: shard.firstId,
      last_id: shard.lastId,
      last_delivered_id: shard.lastDeliveredId,
      memory_bytes: shard.memoryBytes,
      consumers: shard.consumers.map(({ name, pending, idleMs }) => ({ name, pending, idle_ms: idleMs })),
    })),
    // Nothing runs by schedule yet.
    schedules: [],
  };
}

function table({ shards, totals }: Stats): string {
  const rows = [
    ["shard", "length", "lag", "pending", "oldest pending", "last id"],
    ...shards.filter(({ length }) => length > 0).map(row),
    ["all", String(totals.length), known(totals.lag), String(totals.pending), age(totals.oldestPendingMs), ""],
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((cells) => (cells[column] ?? "").length)));
  const lines = rows.map((cells) => cells.map((cell, column) => cell.padStart(widths[column] ?? 0)).join("  "));
  return [...lines, `dead letters open: ${totals.openDeadLetters}`, `alerts open: ${totals.openAlerts}`].join("\n");
}

function row(shard: ShardStats): string[] {
  const { length, lag, pending, oldestPendingMs, lastId } = shard;
  return [String(shard.shard), String(length), known(lag), String(pending), age(oldestPendingMs), lastId ?? "unknown"];
}

function known(value: number | null): string {
  return value === null ? "unknown" : String(value);
}

function age(ms: number | null): string {
  return ms === null ? "-" : `${(ms / 1000).toFixed(1)} s`;
}
