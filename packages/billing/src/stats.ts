// What the streams look like now. What Redis does not tell is null, never zero.
import type { Billing } from "./billing.ts";
import { type Consumer, readConsumers } from "./claim.ts";
import { GROUP, streamKey } from "./keys.ts";
import { type RedisClient, redisServers, replyArray } from "./redis.ts";

export type ShardStats = {
  shard: number;
  /** Entries in the stream, settled ones included until they are cleaned up. */
  length: number;
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
  consumers: Consumer[];
};

export type Stats = {
  shards: ShardStats[];
  totals: {
    length: number;
    lag: number | null;
    pending: number;
    unsettled: number | null;
    oldestPendingMs: number | null;
    oldestUnsettledMs: number | null;
    /** Of the last ten seconds, by the books; links are not counted. */
    settledPerSecond: number;
    /** When what waits now will be settled at that rate; null when that is unknown, or nothing is being settled. */
    drainMs: number | null;
    openDeadLetters: number;
    openAlerts: number;
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

/** Rows looked at for the rate of settling: the newest by id, so that the answer takes no longer with more rows. */
const RATE_ROWS = 10_000;
const RATE_WINDOW_S = 10;

/** Reads every shard. Throws `redis_unavailable` or `postgres_unavailable`. */
export async function readStats(billing: Billing): Promise<Stats> {
  const shards: ShardStats[] = [];
  for (let shard = 0; shard < billing.numShards; shard++) shards.push(await readShardStats(billing, shard));
  const unsettled = addUp(shards.map((one) => one.unsettled));
  const books = await readBooks(billing);
  return {
    shards,
    totals: {
      length: shards.reduce((sum, one) => sum + one.length, 0),
      lag: addUp(shards.map((one) => one.lag)),
      pending: shards.reduce((sum, one) => sum + one.pending, 0),
      unsettled,
      oldestPendingMs: largest(shards.map((one) => one.oldestPendingMs)),
      oldestUnsettledMs: largest(shards.map((one) => one.oldestUnsettledMs)),
      ...books,
      drainMs: drainTime(unsettled, books.settledPerSecond),
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
  const [books] = await billing.query<{ letters: string; alerts: string; settled: string; since_s: number }>(
    `SELECT (SELECT count(*) FROM data.dead_letter WHERE state = 'open') AS letters,
            (SELECT count(*) FROM data.alert WHERE resolved_at IS NULL) AS alerts,
            count(*) AS settled,
            CASE WHEN count(*) < $1 THEN $2 ELSE extract(epoch FROM now() - min(settled_at)) END::float8 AS since_s
       FROM (SELECT settled_at FROM data.usage_log ORDER BY id DESC LIMIT $1) newest
      WHERE settled_at > now() - make_interval(secs => $2)`,
    [RATE_ROWS, RATE_WINDOW_S],
  );
  return {
    openDeadLetters: Number(books?.letters ?? 0),
    openAlerts: Number(books?.alerts ?? 0),
    settledPerSecond: Number(books?.settled ?? 0) / Math.max(0.001, books?.since_s ?? RATE_WINDOW_S),
  };
}

async function readShardStats(billing: Billing, shard: number): Promise<ShardStats> {
  const key = streamKey(shard);
  const none = { shard, length: 0, lag: 0, pending: 0, unsettled: 0, oldestPendingMs: null, oldestUnsettledMs: null };
  const noIds = { firstId: null, lastId: null, lastDeliveredId: null };
  const stream = await billing.ask((redis) => redis.xinfo("STREAM", key).catch(noSuchKey));
  if (stream === undefined) return { ...none, ...noIds, memoryBytes: 0, consumers: [] };
  const length = Number(fieldOf(stream, "length"));
  const memoryBytes = await billing.ask((redis) => redis.memory("USAGE", key));
  const entryIds = { firstId: entryId(fieldOf(stream, "first-entry")), lastId: entryId(fieldOf(stream, "last-entry")) };
  const groups = replyArray(await billing.ask((redis) => redis.xinfo("GROUPS", key)));
  const group = groups.find((one) => fieldOf(one, "name") === GROUP);
  if (group === undefined) {
    const waiting = { length, lag: length, unsettled: length, oldestUnsettledMs: ageOf(entryIds.firstId) };
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
    lag,
    pending,
    // How many were never delivered Redis may not know; that there is none it shows.
    unsettled: addUp([oldestUnreadMs === null ? 0 : lag, pending]),
    oldestPendingMs,
    oldestUnsettledMs: largest([oldestPendingMs, oldestUnreadMs]),
    lastDeliveredId,
    memoryBytes,
    consumers: await readConsumers(billing, shard),
  };
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
