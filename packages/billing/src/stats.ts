// What the streams look like now. What Redis does not tell is null, never zero.
import type { Billing } from "./billing.ts";
import { type Consumer, readConsumers } from "./claim.ts";
import { GROUP, streamKey } from "./keys.ts";
import { type RedisClient, replyArray } from "./redis.ts";

export type ShardStats = {
  shard: number;
  /** Entries in the stream, settled ones included until they are cleaned up. */
  length: number;
  /** Entries never delivered; null when Redis cannot tell (after deletions). */
  lag: number | null;
  /** Delivered and not acked. */
  pending: number;
  /** The age of the oldest entry that is pending, by its id. */
  oldestPendingMs: number | null;
  firstId: string | null;
  lastId: string | null;
  lastDeliveredId: string | null;
  memoryBytes: number | null;
  consumers: Consumer[];
};

export type Stats = {
  shards: ShardStats[];
  totals: {
    length: number;
    lag: number | null;
    pending: number;
    oldestPendingMs: number | null;
    openDeadLetters: number;
    openAlerts: number;
  };
  redis: { usedMemoryBytes: number | null; maxMemoryBytes: number | null };
};

/** Reads every shard. Throws `redis_unavailable` or `postgres_unavailable`. */
export async function readStats(billing: Billing): Promise<Stats> {
  const shards: ShardStats[] = [];
  for (let shard = 0; shard < billing.numShards; shard++) shards.push(await readShardStats(billing, shard));
  const [open] = await billing.query<{ letters: string; alerts: string }>(
    `SELECT (SELECT count(*) FROM data.dead_letter WHERE state = 'open') AS letters,
            (SELECT count(*) FROM data.alert WHERE resolved_at IS NULL) AS alerts`,
  );
  const ages = shards.flatMap((one) => one.oldestPendingMs ?? []);
  return {
    shards,
    totals: {
      length: shards.reduce((sum, one) => sum + one.length, 0),
      lag: shards.reduce<number | null>((sum, one) => (sum === null || one.lag === null ? null : sum + one.lag), 0),
      pending: shards.reduce((sum, one) => sum + one.pending, 0),
      oldestPendingMs: ages.length === 0 ? null : Math.max(...ages),
      openDeadLetters: Number(open?.letters ?? 0),
      openAlerts: Number(open?.alerts ?? 0),
    },
    redis: await readMemory(billing),
  };
}

async function readShardStats(billing: Billing, shard: number): Promise<ShardStats> {
  const key = streamKey(shard);
  const none = {
    shard,
    length: 0,
    lag: 0,
    pending: 0,
    oldestPendingMs: null,
    firstId: null,
    lastId: null,
    lastDeliveredId: null,
  };
  const stream = await orAbsent(() => billing.redis.xinfo("STREAM", key));
  if (stream === undefined) return { ...none, memoryBytes: 0, consumers: [] };
  const length = Number(fieldOf(stream, "length"));
  const memoryBytes = await billing.ask((redis) => redis.memory("USAGE", key));
  const groups = replyArray(await billing.ask((redis) => redis.xinfo("GROUPS", key)));
  const group = groups.find((one) => fieldOf(one, "name") === GROUP);
  const entryIds = { firstId: entryId(fieldOf(stream, "first-entry")), lastId: entryId(fieldOf(stream, "last-entry")) };
  if (group === undefined) return { ...none, ...entryIds, length, lag: length, memoryBytes, consumers: [] };
  const lag = fieldOf(group, "lag");
  return {
    shard,
    ...entryIds,
    length,
    lag: lag === null || lag === undefined ? null : Number(lag),
    pending: Number(fieldOf(group, "pending")),
    oldestPendingMs: await oldestPending(billing, key),
    lastDeliveredId: String(fieldOf(group, "last-delivered-id")),
    memoryBytes,
    consumers: await readConsumers(billing, shard),
  };
}

async function oldestPending(billing: Billing, key: string): Promise<number | null> {
  const [count, oldest] = replyArray(await billing.ask((redis: RedisClient) => redis.xpending(key, GROUP)));
  if (count === 0 || typeof oldest !== "string") return null;
  return Math.max(0, Date.now() - Number(oldest.split("-")[0]));
}

async function readMemory(billing: Billing): Promise<Stats["redis"]> {
  const info = await billing.ask((redis) => redis.info("memory"));
  const value = (name: string) => {
    const text = new RegExp(`^${name}:(\\d+)`, "m").exec(info)?.[1];
    return text === undefined ? null : Number(text);
  };
  return { usedMemoryBytes: value("used_memory"), maxMemoryBytes: value("maxmemory") };
}

/** A flat reply of name, value, name, value… read by name. */
export function fieldOf(flat: unknown, name: string): unknown {
  const list = replyArray(flat);
  const at = list.indexOf(name);
  return at < 0 ? undefined : list[at + 1];
}

async function orAbsent(command: () => Promise<unknown>): Promise<unknown> {
  try {
    return await command();
  } catch (error) {
    if (error instanceof Error && error.message.includes("no such key")) return undefined;
    throw error;
  }
}

function entryId(entry: unknown): string | null {
  return Array.isArray(entry) ? String(entry[0]) : null;
}
