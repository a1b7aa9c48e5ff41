// Entries that were delivered and not acked: who holds them, for how long, and taking them over from a holder that is dead.
import type { Billing } from "./billing.ts";
import { type Consumer, isLive, readConsumers } from "./claim.ts";
import { UnreadableEntry } from "./fields.ts";
import { GROUP, shardOfStream, streamKey } from "./keys.ts";
import { type RedisClient, replyArray } from "./redis.ts";
import { decodeEntry, type Entry, type EntryInHand, type RawEntry, readEntryReply } from "./stream.ts";

const PAGE = 1_000;

export type EntryFilters = {
  /** Stream entry ids (`1700000000000-0`, or with their stream: `stream:deductions:3/1700000000000-0`) or deduction ids. */
  ids?: readonly string[];
  shards?: readonly number[];
  /** Only entries appended at least this long ago. */
  olderThanMs?: number;
};

export type PendingFilters = EntryFilters & {
  consumer?: string;
  /** Only entries appended at this moment (ms since 1970) or before. */
  newestMs?: number;
};

/** Why an entry cannot be read. */
export type Unreadable = { errorClass: string; message: string };

export type PendingEntry = {
  shard: number;
  entryId: string;
  consumer: string;
  /** Whether the holder shows life. */
  live: boolean;
  /** Since it was last delivered. */
  idleMs: number;
  deliveries: number;
  /** Since it was appended. */
  ageMs: number;
  /** Its fields are empty when it was removed from the stream. */
  raw: RawEntry;
  entry: Entry | undefined;
  unreadable: Unreadable | undefined;
};

/** Where an entry stands in the streams: shards in their order, each from its oldest entry on. */
export type EntryPlace = { shard: number; entryId: string };

/** One entry in the group's list: the holder, the time since delivery, the deliveries. */
export type Holding = { entryId: string; consumer: string; idleMs: number; deliveries: number };

/** Up to `limit` pending entries of all shards (or those chosen), by shard and age. Throws `redis_unavailable`. */
export async function listPending(
  billing: Billing,
  filters: PendingFilters = {},
  limit = 10_000,
): Promise<{ entries: PendingEntry[]; more: boolean }> {
  const entries: PendingEntry[] = [];
  for await (const page of pendingPages(billing, filters)) {
    entries.push(...page);
    if (entries.length > limit) return { entries: entries.slice(0, limit), more: true };
  }
  return { entries, more: false };
}

/** The same, a page at a time; from behind `after` on, in pages that look at `size` entries. */
export async function* pendingPages(
  billing: Billing,
  filters: PendingFilters,
  { after, size = PAGE }: { after?: EntryPlace; size?: number } = {},
): AsyncGenerator<PendingEntry[]> {
  const matches = entryMatcher(filters.ids);
  const newest = newestOf(filters);
  for (const shard of chosenShards(billing, filters)) {
    if (after !== undefined && shard < after.shard) continue;
    let from = shard === after?.shard ? `(${after.entryId}` : "-";
    for (;;) {
      const holdings = await readHoldings(billing, shard, from, newest, size, filters.consumer);
      const last = holdings.at(-1);
      if (!last) break;
      const consumers = await readConsumers(billing, shard);
      const raws = await readEntries(
        billing,
        shard,
        holdings.map(({ entryId }) => entryId),
      );
      const page = holdings.map((holding) => describe(shard, holding, raws.get(holding.entryId), consumers));
      const chosen = page.filter(({ entryId, entry }) => matches(shard, entryId, entry));
      if (chosen.length > 0) yield chosen;
      if (holdings.length < size) break;
      from = `(${last.entryId}`;
    }
  }
}

/** The end of the range of ids that the filters let through. */
export function newestOf({ olderThanMs, newestMs = Number.POSITIVE_INFINITY }: PendingFilters): string {
  const newest = olderThanMs === undefined ? newestMs : Math.min(newestMs, Date.now() - olderThanMs);
  return Number.isFinite(newest) ? String(newest) : "+";
}

function describe(
  shard: number,
  holding: Holding,
  fields: Buffer[] | undefined,
  consumers: readonly Consumer[],
): PendingEntry {
  const raw: RawEntry = { shard, entryId: holding.entryId, deliveryCount: holding.deliveries, fields: fields ?? [] };
  const read = readEntry(raw);
  return {
    ...holding,
    shard,
    live: isLive(consumers, holding.consumer),
    ageMs: Math.max(0, Date.now() - Number(holding.entryId.split("-")[0])),
    raw,
    ...read,
  };
}

/** Decodes, or says why not. */
export function readEntry(raw: EntryInHand): { entry: Entry | undefined; unreadable: Unreadable | undefined } {
  try {
    return { entry: decodeEntry(raw, raw.fields), unreadable: undefined };
  } catch (error) {
    if (!(error instanceof UnreadableEntry)) throw error;
    return { entry: undefined, unreadable: { errorClass: error.errorClass, message: error.message } };
  }
}

export function chosenShards(billing: Billing, filters: EntryFilters): number[] {
  const all = Array.from({ length: billing.numShards }, (_, shard) => shard);
  return filters.shards === undefined ? all : all.filter((shard) => filters.shards?.includes(shard));
}

/** Whether an entry is one of the ids asked for; all are when none was. */
export function entryMatcher(ids: readonly string[] | undefined) {
  const names = ids?.map(parseEntryName);
  const places = new Set(names?.map(({ shard, entryId }) => `${shard ?? "any"}/${entryId}`));
  const deductions = new Set(ids);
  return (shard: number, entryId: string, entry: Entry | undefined): boolean =>
    names === undefined ||
    places.has(`${shard}/${entryId}`) ||
    places.has(`any/${entryId}`) ||
    (entry?.kind === "usage" && deductions.has(entry.deductionId));
}

/** `<stream>/<id>` or `<id>`; a text that is neither is a deduction id. */
export function parseEntryName(text: string): { shard?: number; entryId?: string } {
  const [, stream, entryId] = /^(?:(stream:deductions:\d{1,5})\/)?(\d{1,20}-\d{1,20})$/.exec(text) ?? [];
  const shard = stream === undefined ? undefined : shardOfStream(stream);
  return { ...(entryId === undefined ? {} : { entryId }), ...(shard === undefined ? {} : { shard }) };
}

/** Up to `limit` of a shard's pending entries in a range of ids. */
export async function readHoldings(
  billing: Billing,
  shard: number,
  from: string,
  to: string,
  limit: number,
  consumer?: string,
): Promise<Holding[]> {
  const ask = (redis: RedisClient) =>
    consumer === undefined
      ? redis.xpending(streamKey(shard), GROUP, from, to, limit)
      : redis.xpending(streamKey(shard), GROUP, from, to, limit, consumer);
  const rows = replyArray(await billing.ask((redis) => ask(redis).catch(noGroup)));
  return rows.map((row) => {
    const [id, name, idle, count] = replyArray(row);
    return { entryId: String(id), consumer: String(name), idleMs: Number(idle), deliveries: Number(count) };
  });
}

function noGroup(error: unknown): [] {
  if (error instanceof Error && error.message.startsWith("NOGROUP")) return [];
  throw error;
}

/** The fields of entries that are in the stream, by id. */
export async function readEntries(
  billing: Billing,
  shard: number,
  entryIds: readonly string[],
): Promise<Map<string, Buffer[]>> {
  const rows = await Promise.all(
    entryIds.map((id) => billing.ask((redis) => redis.xrangeBuffer(streamKey(shard), id, id))),
  );
  return new Map(rows.flatMap(([row]) => (row ? [[row[0].toString(), row[1]] as const] : [])));
}

/**
 * Takes entries over that were not delivered to anybody for `minIdleMs`, and returns those it got. Redis checks the time as
 * it claims, so of two takers, or of a taker and a holder that is back, one gets an entry.
 */
export async function takeOver(
  billing: Billing,
  shard: number,
  consumer: string,
  entryIds: readonly string[],
  minIdleMs: number,
): Promise<RawEntry[]> {
  if (entryIds.length === 0) return [];
  const reply = await billing.ask((redis) =>
    redis.callBuffer("XCLAIM", streamKey(shard), GROUP, consumer, minIdleMs, ...entryIds),
  );
  return replyArray(reply)
    .filter((entry) => entry !== null)
    .map((entry) => readEntryReply(shard, entry));
}
