// How long what is pending waits. A stream's pending list is read from its oldest end and to a bound, so that the answer costs the same
// however much waits: what is beyond the bound is younger than all that was read, and is counted apart.
import type { Billing } from "./billing.ts";
import { readHoldings } from "./pending.ts";
import type { ShardStats } from "./stats.ts";

export type PendingAges = {
  /** One more than there are limits: younger than the first, from the first to the second, and so on; the last are the oldest. */
  counts: number[];
  /** Pending too, and younger than the others of their shard. */
  unread: number;
};

const MAX_READ = 1_000;

/** Pending entries of these shards by age, `limitsMs` ascending. Throws `redis_unavailable`. */
export async function readPendingAges(
  billing: Billing,
  shards: readonly Pick<ShardStats, "shard" | "pending">[],
  limitsMs: readonly number[],
): Promise<PendingAges> {
  const ages: PendingAges = { counts: [...limitsMs, 0].map(() => 0), unread: 0 };
  for (const { shard, pending } of shards) {
    if (pending === 0) continue;
    const oldest = await readHoldings(billing, shard, "-", "+", MAX_READ);
    const now = Date.now();
    for (const { entryId } of oldest) {
      const place = limitsMs.findIndex((limit) => now - Number(entryId.split("-")[0]) < limit);
      const at = place < 0 ? limitsMs.length : place;
      ages.counts[at] = (ages.counts[at] ?? 0) + 1;
    }
    ages.unread += Math.max(0, pending - oldest.length);
  }
  return ages;
}
