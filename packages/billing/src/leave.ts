// Clearing a shard's group of what is gone: references to entries that were removed from the stream, and consumers that died. Redis
// drops such a reference by itself when somebody claims it (7.0), and with it the last trace of an entry that never settled. So
// nobody claims it here: it is acked when its entry is in the books, and else kept as a dead letter first.
import type { Billing } from "./billing.ts";
import { isLive, LIVE_MS, readConsumers } from "./claim.ts";
import { keepDeadLetter } from "./dead-letters.ts";
import { GROUP, streamKey } from "./keys.ts";
import { type Holding, readEntries, readEntry, readHoldings } from "./pending.ts";
import { loadScript, replyArray, runScript } from "./redis.ts";
import { findBookedIds } from "./replay-plan.ts";
import type { EntryInHand } from "./stream.ts";

const leaveScript = loadScript("./leave.lua");
const PAGE = 1_000;

export type ClearedGroup = {
  /** Pending references to entries that are not in the stream any more. */
  danglingCleared: number;
  /** Of them those that were in no books: each is a dead letter now. */
  danglingKept: number;
  /** Dead consumers that held nothing. */
  consumersRemoved: string[];
};

/** Clears a shard's group, or in a dry run says what it would clear. What a live consumer holds, and has not settled, stays with it. */
export async function clearGroup(billing: Billing, shard: number, dryRun: boolean): Promise<ClearedGroup> {
  const consumers = await readConsumers(billing, shard);
  const cleared = new Map<string, number>();
  const result: ClearedGroup = { danglingCleared: 0, danglingKept: 0, consumersRemoved: [] };
  for (let from = "-"; ; ) {
    const holdings = await readHoldings(billing, shard, from, "+", PAGE);
    const { recorded, lost } = await findDangling(billing, shard, holdings);
    const dead = lost.filter(({ consumer }) => !isLive(consumers, consumer));
    const done = [...recorded, ...dead];
    for (const { consumer } of done) cleared.set(consumer, (cleared.get(consumer) ?? 0) + 1);
    result.danglingCleared += done.length;
    result.danglingKept += dead.length;
    if (!dryRun) {
      await keepLost(billing, shard, dead);
      if (done.length > 0)
        await billing.ask((redis) => redis.xack(streamKey(shard), GROUP, ...done.map(({ entryId }) => entryId)));
    }
    const last = holdings.at(-1);
    if (!last || holdings.length < PAGE) break;
    from = `(${last.entryId}`;
  }
  for (const { name, pending } of consumers) {
    if (isLive(consumers, name) || pending > (cleared.get(name) ?? 0)) continue;
    if (dryRun || (await removeEmptyConsumer(billing, shard, name, LIVE_MS))) result.consumersRemoved.push(name);
  }
  return result;
}

/** Removes a consumer from a shard's group unless something is pending under it, or it showed life within `idleMs`. */
export async function removeEmptyConsumer(
  billing: Billing,
  shard: number,
  consumer: string,
  idleMs = 0,
): Promise<boolean> {
  const args = [GROUP, consumer, String(idleMs)];
  const [word] = replyArray(await runScript(billing.redis, leaveScript, [streamKey(shard)], args));
  return word === "removed";
}

/** Pending entries that are not in the stream, by whether anything is on record of them. */
async function findDangling(billing: Billing, shard: number, holdings: readonly Holding[]) {
  const ids = holdings.map(({ entryId }) => entryId);
  const inStream = await readEntries(billing, shard, ids);
  const gone = holdings.filter(({ entryId }) => !inStream.has(entryId));
  const known = await findRecorded(
    billing,
    shard,
    gone.map(({ entryId }) => entryId),
  );
  return {
    recorded: gone.filter(({ entryId }) => known.has(entryId)),
    lost: gone.filter(({ entryId }) => !known.has(entryId)),
  };
}

/** Of entries in hand those that were removed from the stream before they were acked, and are settled or kept all the same. */
export async function findRecordedGone(billing: Billing, batch: readonly EntryInHand[]): Promise<Set<EntryInHand>> {
  const recorded = new Set<EntryInHand>();
  const gone = batch.filter(({ fields }) => fields.length === 0);
  for (const [shard, inShard] of Map.groupBy(gone, (raw) => raw.shard)) {
    const entryIds = inShard.map(({ entryId }) => entryId);
    const known = await findRecorded(billing, shard, entryIds);
    for (const raw of inShard) if (known.has(raw.entryId)) recorded.add(raw);
  }
  return recorded;
}

/** Which entries, no longer in the stream, are in the books or kept as a dead letter: by the place that their rows name. */
async function findRecorded(billing: Billing, shard: number, entryIds: readonly string[]): Promise<Set<string>> {
  if (entryIds.length === 0) return new Set();
  const letters = await billing.query<{ id: string }>(
    "SELECT stream_entry_id AS id FROM data.dead_letter WHERE stream_key = $1 AND stream_entry_id = ANY($2)",
    [streamKey(shard), entryIds],
  );
  const booked = await findBookedIds(billing, shard, entryIds);
  return new Set([...booked, ...letters.map(({ id }) => id)]);
}

async function keepLost(billing: Billing, shard: number, lost: readonly Holding[]): Promise<void> {
  for (const { entryId, deliveries } of lost) {
    const raw = { shard, entryId, deliveryCount: deliveries, fields: [] };
    const { unreadable } = readEntry(raw);
    if (unreadable) await keepDeadLetter(billing, raw, { ...unreadable, attempts: 1 });
  }
}
