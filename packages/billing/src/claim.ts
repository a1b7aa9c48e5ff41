// Telling dead consumers from live ones, and taking over what they left. A live worker shows itself on every shard each two
// seconds, also while it waits for Postgres, so that idleness means death and not patience.
import type { Billing } from "./billing.ts";
import { GROUP, streamKey } from "./keys.ts";
import { type RedisClient, replyArray } from "./redis.ts";
import { type RawEntry, readEntryReply } from "./stream.ts";

/**
 * After every entry that a stream will hold: reading one's own entries from here delivers nothing. Not the very last id:
 * Redis keeps that one for `>`, and delivers new entries for it.
 */
const PAST_ALL = "18446744073709551615-0";

/** A consumer that showed no life for this long is dead. */
export const LIVE_MS = 8_000;

/** Refreshes the consumer's idle time on every shard, and creates it where it is new. Delivers nothing. */
export async function keepAlive(billing: Billing, shards: readonly number[], consumer: string): Promise<void> {
  const touch = (shard: number) =>
    billing.ask((redis) =>
      redis.xreadgroup("GROUP", GROUP, consumer, "COUNT", 1, "STREAMS", streamKey(shard), PAST_ALL).catch(noGroupYet),
    );
  await Promise.all(shards.map(touch));
}

/** At the first start of all the reader makes the group at this very moment. */
function noGroupYet(error: unknown): void {
  if (!(error instanceof Error && error.message.startsWith("NOGROUP"))) throw error;
}

function noGroup(error: unknown): [] {
  if (error instanceof Error && /^NOGROUP|no such key/.test(error.message)) return [];
  throw error;
}

export type Consumer = {
  name: string;
  pending: number;
  /** Since it last asked for anything. */
  idleMs: number;
  /** Since it was last given anything; null when it never was, or the server does not tell (Redis before 7.2). */
  inactiveMs: number | null;
};

export function isLive(consumers: readonly Consumer[], name: string): boolean {
  return consumers.some((consumer) => consumer.name === name && consumer.idleMs < LIVE_MS);
}

/** The consumers of a shard; none where there is no group yet. */
export async function readConsumers(billing: Billing, shard: number): Promise<Consumer[]> {
  const ask = (redis: RedisClient) => redis.xinfo("CONSUMERS", streamKey(shard), GROUP).catch(noGroup);
  const rows = replyArray(await billing.ask(ask));
  return rows.map((row) => {
    const flat = replyArray(row).map(String);
    const fields = new Map(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1] ?? ""] as const] : [])));
    // -1 where it was never given anything.
    const inactiveMs = Number(fields.get("inactive") ?? -1);
    return {
      name: fields.get("name") ?? "",
      pending: Number(fields.get("pending")),
      idleMs: Number(fields.get("idle")),
      inactiveMs: inactiveMs < 0 ? null : inactiveMs,
    };
  });
}

/**
 * Claims up to `limit` entries of one dead consumer of the shard. Two claimants never get the same entry. Those that are not in the stream
 * any more are returned without fields and are not claimed: Redis would drop them, before anything is on record of them.
 */
export async function claimDead(
  billing: Billing,
  shard: number,
  consumer: string,
  idleMs: number,
  limit: number,
): Promise<RawEntry[]> {
  const dead = (await readConsumers(billing, shard)).filter(
    (c) => c.name !== consumer && c.pending > 0 && c.idleMs >= idleMs,
  );
  for (const { name } of dead) {
    const pending = await billing.ask((redis) =>
      redis.xpending(streamKey(shard), GROUP, "IDLE", idleMs, "-", "+", limit, name),
    );
    const deliveries = new Map(
      replyArray(pending).map((row) => {
        const [id, , , count] = replyArray(row);
        return [String(id), Number(count)] as const;
      }),
    );
    if (deliveries.size === 0) continue;
    const { there, gone } = await findPresent(billing, shard, [...deliveries.keys()]);
    const claimed = await claim(billing, shard, consumer, there, idleMs);
    const taken = [...claimed, ...gone.map((entryId) => ({ shard, entryId, deliveryCount: 0, fields: [] }))];
    if (taken.length > 0)
      return taken.map((raw) => ({ ...raw, deliveryCount: (deliveries.get(raw.entryId) ?? 0) + 1 }));
  }
  return [];
}

async function claim(
  billing: Billing,
  shard: number,
  consumer: string,
  entryIds: readonly string[],
  idleMs: number,
): Promise<RawEntry[]> {
  if (entryIds.length === 0) return [];
  const reply = await billing.ask((redis) =>
    redis.callBuffer("XCLAIM", streamKey(shard), GROUP, consumer, idleMs, ...entryIds),
  );
  return replyArray(reply)
    .filter((entry) => entry !== null)
    .map((entry) => readEntryReply(shard, entry));
}

async function findPresent(billing: Billing, shard: number, entryIds: readonly string[]) {
  const ask = (id: string) => billing.ask((redis) => redis.xrangeBuffer(streamKey(shard), id, id));
  const rows = await Promise.all(entryIds.map(ask));
  const isThere = (_: string, i: number) => (rows[i]?.length ?? 0) > 0;
  return { there: entryIds.filter(isThere), gone: entryIds.filter((id, i) => !isThere(id, i)) };
}
