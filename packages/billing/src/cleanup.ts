// Cleanup removes only what is proven settled, acked and old enough, one step of entries at a time until nothing safe is left.
// Every entry is judged against the books right before it is removed; what is kept is counted with its reason. Entries are
// removed by id, never by length or age: one that is pending or unaccounted may stand before settled ones. The group is cleared of
// what is gone, too (leave.ts).
import type { Billing } from "./billing.ts";
import { streamKey } from "./keys.ts";
import { type ClearedGroup, clearGroup } from "./leave.ts";
import { proveShard } from "./proven.ts";
import { readStandings, type Standing } from "./standing.ts";

export type CleanupSettings = {
  /** Entries younger than this stay. */
  maxAgeMs: number;
  /** The moment itself in place of an age, for a cleanup that was asked for earlier than it is done. */
  cutOffMs?: number;
  /** Entries judged and removed in one step. */
  maxPerShard: number;
  /** Only these shards. Default: all. */
  shards?: readonly number[];
  /** Counts what would be removed, and removes nothing. */
  dryRun: boolean;
  signal?: AbortSignal;
};

export const defaultCleanupSettings = { maxAgeMs: 24 * 3_600_000, maxPerShard: 1_000 };

/**
 * Why entries stay. `too_young` are settled, or not looked at because everything after the cut-off is younger; `not_acked` are settled, and
 * their worker died before it said so.
 */
export type KeptReason = Exclude<Standing, "settled"> | "not_acked" | "too_young";

export type ShardCleanup = ClearedGroup & {
  shard: number;
  /** Removed, or in a dry run what would be. */
  trimmed: number;
  kept: Record<KeptReason, number>;
  oldestTrimmedId: string | null;
  newestTrimmedId: string | null;
};

/** Cleans the shards one after another. Throws what is unreachable; what was removed until then was proven. */
export async function cleanup(billing: Billing, settings: CleanupSettings): Promise<ShardCleanup[]> {
  const shards = settings.shards ?? Array.from({ length: billing.numShards }, (_, shard) => shard);
  const results: ShardCleanup[] = [];
  for (const shard of shards) {
    if (settings.signal?.aborted) break;
    await proveShard(billing, shard);
    const cleared = await clearGroup(billing, shard, settings.dryRun);
    results.push({ ...(await cleanShard(billing, shard, settings)), ...cleared });
  }
  return results;
}

type Trimmed = Omit<ShardCleanup, keyof ClearedGroup>;

async function cleanShard(billing: Billing, shard: number, settings: CleanupSettings): Promise<Trimmed> {
  const key = streamKey(shard);
  const kept = { half_settled: 0, dead_lettered: 0, pending: 0, unread: 0, unaccounted: 0, not_acked: 0, too_young: 0 };
  const result: Trimmed = { shard, trimmed: 0, kept, oldestTrimmedId: null, newestTrimmedId: null };
  const cutOff = String(settings.cutOffMs ?? Date.now() - settings.maxAgeMs);
  let lookedAt = 0;
  let from = "-";
  for (let more = true; more && !settings.signal?.aborted; ) {
    const page = await readStandings(billing, shard, from, cutOff, settings.maxPerShard);
    const safe: string[] = [];
    for (const { raw, standing, acked } of page.entries) {
      if (standing === "settled" && acked) safe.push(raw.entryId);
      else kept[standing === "settled" ? "not_acked" : standing]++;
    }
    lookedAt += page.entries.length;
    if (safe.length > 0 && !settings.dryRun) await billing.ask((redis) => redis.xdel(key, ...safe));
    result.trimmed += safe.length;
    result.oldestTrimmedId ??= safe[0] ?? null;
    result.newestTrimmedId = safe.at(-1) ?? result.newestTrimmedId;
    from = `(${page.entries.at(-1)?.raw.entryId ?? cutOff}`;
    more = page.more;
  }
  const left = await billing.ask((redis) => redis.xlen(key));
  const stayed = lookedAt - (settings.dryRun ? 0 : result.trimmed);
  kept.too_young = Math.max(0, left - stayed);
  return result;
}
