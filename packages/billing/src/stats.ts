// What the streams look like now. What Redis does not tell is null, never zero.
import { readSettledPerSecond } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import { type Consumer, isLive, readConsumers } from "./claim.ts";
import { GROUP, streamKey } from "./keys.ts";
import { isActConsumer } from "./operations.ts";
import { fromBooks } from "./postgres.ts";
import { type RedisClient, redisServers, replyArray } from "./redis.ts";

/** `live`: it showed life within seconds. `act`: an operator's act that takes what it was asked to take, no worker. */
export type ShardConsumer = Consumer & { live: boolean; act: boolean };

export type ShardStats = {
  shard: number;
  /** Entries in the stream, settled ones included until they are cleaned up. */
  length: number;
  /** Entries ever appended, cleaned up ones included; null when the server does not tell (Redis before 7). */
  entriesAdded: number | null;
  /** Entries never delivered; null when Redis cannot tell (after deletions). */
  lag: number | null;
  /** Delivered and not acked. */
  pending: number;
  /** Never delivered, or not acked; null when the lag is unknown and something was never delivered. */
  unsettled: number | null;
  /** The age of the oldest entry that is pending, by its id. */
  oldestPendingMs: number | null;
  /** The age of the oldest entry that is pending or was never delivered. Null: nothing waits, which is known for certain. */
  oldestUnsettledMs: number | null;
  firstId: string | null;
  lastId: string | null;
  lastDeliveredId: string | null;
  memoryBytes: number | null;
  consumers: ShardConsumer[];
};

export type StreamStats = {
  shards: ShardStats[];
  totals: {
    length: number;
    lag: number | null;
    pending: number;
    unsettled: number | null;
    oldestPendingMs: number | null;
    oldestUnsettledMs: number | null;
  };
  redis: {
    /** Of all servers of a cluster together. */
    usedMemoryBytes: number | null;
    /** 0 when a server has no limit. */
    maxMemoryBytes: number | null;
    /** Used memory of the fullest server as a share of its limit, 0 to 1; null when no server has a limit. */
    memoryShare: number | null;
  };
};

export type Stats = StreamStats & {
  totals: {
    /** Of the last ten seconds, by the books; links are not counted. */
    settledPerSecond: number;
    /** When what waits now will be settled at that rate; null when that is unknown, or nothing is being settled. */
    drainMs: number | null;
    openDeadLetters: number;
    openAlerts: number;
  };
};

/** Reads every shard, and counts in the books. Throws `redis_unavailable` or `postgres_unavailable`. */
export async function readStats(billing: Billing): Promise<Stats> {
  const streams = await readStreams(billing);
  const books = await readBooks(billing);
  const drainMs = drainTime(streams.totals.unsettled, books.settledPerSecond);
  return { ...streams, totals: { ...streams.totals, ...books, drainMs } };
}

/** Reads every shard, and nothing of the books: what can be told while Postgres is away. Throws `redis_unavailable`. */
export async function readStreams(billing: Billing): Promise<StreamStats> {
  const shards: ShardStats[] = [];
  for (let shard = 0; shard < billing.numShards; shard++) shards.push(await readShardStats(billing, shard));
  return {
    shards,
    totals: {
      length: shards.reduce((sum, one) => sum + one.length, 0),
      lag: addUp(shards.map((one) => one.lag)),
      pending: shards.reduce((sum, one) => sum + one.pending, 0),
      unsettled: addUp(shards.map((one) => one.unsettled)),
      oldestPendingMs: largest(shards.map((one) => one.oldestPendingMs)),
      oldestUnsettledMs: largest(shards.map((one) => one.oldestUnsettledMs)),
    },
    redis: await readMemory(billing),
  };
}

/** A sum of which one part is unknown is unknown. */
function addUp(values: readonly (number | null)[]): number | null {
  return values.reduce((sum, value) => (sum === null || value === null ? null : sum + value), 0);
}

/** Of none it is null, never -Infinity. */
function largest(values: readonly (number | null)[]): number | null {
  return values.reduce((most, value) => (value === null ? most : Math.max(most ?? value, value)), null);
}

function drainTime(unsettled: number | null, settledPerSecond: number): number | null {
  if (unsettled === 0) return 0;
  return unsettled === null || settledPerSecond === 0 ? null : Math.ceil((unsettled / settledPerSecond) * 1_000);
}

async function readBooks(billing: Billing) {
  const [books] = await billing.query<{ letters: string; alerts: string }>(
    `SELECT (SELECT count(*) FROM data.dead_letter WHERE state = 'open') AS letters,
            (SELECT count(*) FROM data.alert WHERE resolved_at IS NULL) AS alerts`,
  );
  return {
    openDeadLetters: Number(books?.letters ?? 0),
    openAlerts: Number(books?.alerts ?? 0),
    settledPerSecond: await fromBooks(readSettledPerSecond(billing.db)),
  };
}

async function readShardStats(billing: Billing, shard: number): Promise<ShardStats> {
  const key = streamKey(shard);
  const none = {
    shard,
    length: 0,
    entriesAdded: 0,
    lag: 0,
    pending: 0,
    unsettled: 0,
    oldestPendingMs: null,
    oldestUnsettledMs: null,
  };
  const noIds = { firstId: null, lastId: null, lastDeliveredId: null };
  const stream = await billing.ask((redis) => redis.xinfo("STREAM", key).catch(noSuchKey));
  if (stream === undefined) return { ...none, ...noIds, memoryBytes: 0, consumers: [] };
  const length = Number(fieldOf(stream, "length"));
  const added = fieldOf(stream, "entries-added");
  const entriesAdded = typeof added === "number" ? added : null;
  const memoryBytes = await billing.ask((redis) => redis.memory("USAGE", key));
  const entryIds = { firstId: entryId(fieldOf(stream, "first-entry")), lastId: entryId(fieldOf(stream, "last-entry")) };
  const groups = replyArray(await billing.ask((redis) => redis.xinfo("GROUPS", key)));
  const group = groups.find((one) => fieldOf(one, "name") === GROUP);
  if (group === undefined) {
    const waiting = {
      length,
      entriesAdded,
      lag: length,
      unsettled: length,
      oldestUnsettledMs: ageOf(entryIds.firstId),
    };
    return { ...none, ...noIds, ...entryIds, ...waiting, memoryBytes, consumers: [] };
  }
  const lastDeliveredId = String(fieldOf(group, "last-delivered-id"));
  const [told, pending] = [fieldOf(group, "lag"), Number(fieldOf(group, "pending"))];
  const oldestUnreadMs = await oldestUnread(billing, key, lastDeliveredId);
  const lag = typeof told === "number" ? told : null;
  const oldestPendingMs = await oldestPending(billing, key);
  return {
    shard,
    ...entryIds,
    length,
    entriesAdded,
    lag,
    pending,
    // How many were never delivered Redis may not know; that there is none it shows.
    unsettled: addUp([oldestUnreadMs === null ? 0 : lag, pending]),
    oldestPendingMs,
    oldestUnsettledMs: largest([oldestPendingMs, oldestUnreadMs]),
    lastDeliveredId,
    memoryBytes,
    consumers: await readShardConsumers(billing, shard),
  };
}

async function readShardConsumers(billing: Billing, shard: number): Promise<ShardConsumer[]> {
  const consumers = await readConsumers(billing, shard);
  return consumers.map((one) => ({ ...one, live: isLive(consumers, one.name), act: isActConsumer(one.name) }));
}

async function oldestPending(billing: Billing, key: string): Promise<number | null> {
  const [count, oldest] = replyArray(await billing.ask((redis: RedisClient) => redis.xpending(key, GROUP)));
  return count === 0 || typeof oldest !== "string" ? null : ageOf(oldest);
}

async function oldestUnread(billing: Billing, key: string, lastDeliveredId: string): Promise<number | null> {
  const [first] = await billing.ask((redis) => redis.xrangeBuffer(key, `(${lastDeliveredId}`, "+", "COUNT", 1));
  return first === undefined ? null : ageOf(first[0].toString());
}

/** The age of an entry, by its id. */
function ageOf(id: string | null): number | null {
  return id === null ? null : Math.max(0, Date.now() - Number(id.split("-")[0]));
}

async function readMemory(billing: Billing): Promise<Stats["redis"]> {
  const servers = await Promise.all(
    redisServers(billing.redis).map(async (server) => {
      const info = await billing.ask(() => server.info("memory"));
      const value = (name: string) => {
        const text = new RegExp(`^${name}:(\\d+)`, "m").exec(info)?.[1];
        return text === undefined ? null : Number(text);
      };
      return { used: value("used_memory"), max: value("maxmemory") };
    }),
  );
  const unlimited = servers.some(({ max }) => max === 0);
  return {
    usedMemoryBytes: addUp(servers.map(({ used }) => used)),
    maxMemoryBytes: unlimited ? 0 : addUp(servers.map(({ max }) => max)),
    memoryShare: largest(servers.map(({ used, max }) => (used === null || !max ? null : used / max))),
  };
}

/** A flat reply of name, value, name, value… read by name. */
export function fieldOf(flat: unknown, name: string): unknown {
  const list = replyArray(flat);
  for (let i = 0; i + 1 < list.length; i += 2) if (list[i] === name) return list[i + 1];
  return undefined;
}

function noSuchKey(error: unknown): undefined {
  if (error instanceof Error && error.message.includes("no such key")) return undefined;
  throw error;
}

function entryId(entry: unknown): string | null {
  return Array.isArray(entry) ? String(entry[0]) : null;
}
