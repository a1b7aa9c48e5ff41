// Where entries of a stream stand: what the stream and its group say first, the books after. In that order an entry that is
// acked and not in the books is truly unaccounted: ours is acked only after its commit.
import type { Billing } from "./billing.ts";
import { type FieldBytes, readFields, UnreadableEntry } from "./fields.ts";
import { GROUP, streamKey } from "./keys.ts";
import { formatUnits } from "./money.ts";
import { arrayParameter } from "./postgres.ts";
import { type RedisClient, redisFailure, replyArray } from "./redis.ts";
import { fieldOf } from "./stats.ts";
import {
  decodeEntry,
  type Entry,
  type EntryInHand,
  isUuid,
  type LinkEntry,
  readEntries,
  type UsageEntry,
} from "./stream.ts";

/**
 * `settled`: the same id, account, cost and seq is in the books and settled. `half_settled`: an older worker wrote the row and
 * moved no balance. `unaccounted`: acked, and not in the books.
 */
export type Standing = "settled" | "half_settled" | "dead_lettered" | "pending" | "unread" | "unaccounted";

export type StandingEntry = {
  raw: EntryInHand;
  /** Decoded when it is asked for: most are settled, and nobody asks. Undefined when the entry cannot be read. */
  readonly entry: Entry | undefined;
  standing: Standing;
  /** Delivered and acked. One that is settled may not be: its worker died before the ack. */
  acked: boolean;
};

export type Page = { entries: StandingEntry[] /** More entries follow in the range. */; more: boolean };

/** Reads up to `limit` entries of a shard between two stream ids (`-`, `(id`, `+`…), with the standing of each. */
export async function readStandings(
  billing: Billing,
  shard: number,
  from: string,
  to: string,
  limit: number,
): Promise<Page> {
  const lastDelivered = await readLastDelivered(billing, shard);
  const redis = await billing.rangeReader();
  const reply = await redis.callBuffer("XRANGE", streamKey(shard), from, to, "COUNT", limit).catch((error: unknown) => {
    throw redisFailure(error);
  });
  const raws = readEntries(shard, reply);
  replyArray(reply).length = 0; // let go, as redis.ts says
  const entries = await judge(billing, shard, raws, lastDelivered);
  return { entries, more: raws.length === limit };
}

/** The standing of entries by their ids; those that are no longer in the stream are left out. */
export async function readStandingsOf(
  billing: Billing,
  shard: number,
  entryIds: readonly string[],
): Promise<StandingEntry[]> {
  const lastDelivered = await readLastDelivered(billing, shard);
  const found = await Promise.all(
    entryIds.map(async (id) => (await billing.ask((redis) => redis.xrangeBuffer(streamKey(shard), id, id)))[0]),
  );
  const raws = found.flatMap((row) =>
    row ? [{ shard, entryId: row[0].toString(), deliveryCount: 0, fields: row[1] }] : [],
  );
  return await judge(billing, shard, raws, lastDelivered);
}

async function judge(
  billing: Billing,
  shard: number,
  raws: readonly EntryInHand[],
  lastDelivered: string,
): Promise<StandingEntry[]> {
  const pending = await readPending(billing, shard, raws);
  const unlike = await readUnlikeBooks(billing, raws);
  const others = raws.flatMap((raw) => (unlike.has(raw.entryId) ? [{ raw, entry: tryDecode(raw) }] : []));
  const inBooks = others.length === 0 ? new Map<string, Booked>() : await readBooks(billing, shard, others);
  return raws.map((raw) => {
    const booked = unlike.has(raw.entryId) ? inBooks.get(raw.entryId) : "settled";
    const onItsWay = isLater(raw.entryId, lastDelivered)
      ? ("unread" as const)
      : pending.has(raw.entryId)
        ? ("pending" as const)
        : undefined;
    const standing = booked === "settled" ? booked : (onItsWay ?? booked ?? "unaccounted");
    return new Judged(raw, standing, onItsWay === undefined);
  });
}

class Judged implements StandingEntry {
  readonly raw: EntryInHand;
  readonly standing: Standing;
  readonly acked: boolean;

  constructor(raw: EntryInHand, standing: Standing, acked: boolean) {
    this.raw = raw;
    this.standing = standing;
    this.acked = acked;
  }

  get entry(): Entry | undefined {
    return tryDecode(this.raw);
  }
}

export function tryDecode(raw: EntryInHand): Entry | undefined {
  try {
    return decodeEntry(raw, raw.fields);
  } catch (error) {
    if (error instanceof UnreadableEntry) return undefined;
    throw error;
  }
}

/** Whether stream id `a` comes after `b`. Both as Redis writes them: no zeros before. */
export function isLater(a: string, b: string): boolean {
  const [atA, atB] = [a.indexOf("-"), b.indexOf("-")];
  const [msA, msB] = [a.slice(0, atA), b.slice(0, atB)];
  return msA === msB ? isMore(a.slice(atA + 1), b.slice(atB + 1)) : isMore(msA, msB);
}

function isMore(a: string, b: string): boolean {
  return a.length === b.length ? a > b : a.length > b.length;
}

/** The id of the last entry delivered to the group; `0-0` when there is no group or nothing was delivered. */
export async function readLastDelivered(billing: Billing, shard: number): Promise<string> {
  const groups = await billing.ask((redis) => redis.xinfo("GROUPS", streamKey(shard)).catch(noSuchKey));
  const group = replyArray(groups).find((one) => fieldOf(one, "name") === GROUP);
  return group === undefined ? "0-0" : String(fieldOf(group, "last-delivered-id"));
}

function noSuchKey(error: unknown): [] {
  if (error instanceof Error && error.message.includes("no such key")) return [];
  throw error;
}

async function readPending(billing: Billing, shard: number, raws: readonly EntryInHand[]): Promise<Set<string>> {
  const [first, last] = [raws[0], raws.at(-1)];
  if (!first || !last) return new Set();
  const range = (redis: RedisClient) => redis.xpending(streamKey(shard), GROUP, first.entryId, last.entryId, 1_000_000);
  const rows = await billing.ask((redis) => range(redis).catch(noGroup));
  return new Set(replyArray(rows).map((row) => String(replyArray(row)[0])));
}

function noGroup(error: unknown): [] {
  if (error instanceof Error && error.message.startsWith("NOGROUP")) return [];
  throw error;
}

const UNLIKE_BOOKS = `SELECT e.entry_id FROM unnest($1::text[], $2::uuid[], $3::numeric[], $4::bigint[], $5::text[])
    AS e(deduction_id, account_id, cost, account_seq, entry_id)
  WHERE NOT EXISTS (SELECT FROM data.usage_log u WHERE u.deduction_id = e.deduction_id AND u.account_id = e.account_id AND u.cost = e.cost
    AND u.account_seq = e.account_seq AND u.settled_at IS NOT NULL)`;

/**
 * The ids of those that are not plainly deductions of our own that are settled as they stand, which nearly all are: the rest is looked at
 * closely, so whatever is in doubt here may be among them. Of each only what the books are asked for is read.
 */
async function readUnlikeBooks(billing: Billing, raws: readonly EntryInHand[]): Promise<Set<string>> {
  const unlike = new Set<string>();
  const asked: Asked[] = [];
  for (const { entryId, fields } of raws) {
    const found = readAsked(entryId, fields);
    if (found === undefined) unlike.add(entryId);
    else asked.push(found);
  }
  if (asked.length === 0) return unlike;
  const column = (name: keyof Asked) => arrayParameter(asked.map((one) => one[name]));
  const rows = await billing.query<{ entry_id: string }>(UNLIKE_BOOKS, [
    column("deductionId"),
    column("accountId"),
    column("cost"),
    column("seq"),
    column("entryId"),
  ]);
  for (const { entry_id } of rows) unlike.add(entry_id);
  return unlike;
}

/** A deduction as Postgres takes it. */
type Asked = { entryId: string; deductionId: string; accountId: string; cost: string; seq: string };

function readAsked(entryId: string, raw: FieldBytes): Asked | undefined {
  const fields = tryRead(raw);
  const deductionId = fields?.get("deduction_id");
  const accountId = fields?.get("account_id");
  const cost = fields?.get("cost") ?? "";
  const seq = fields?.get("account_seq") ?? "";
  if (!deductionId || !isUuid(accountId) || !COST.test(cost) || !SEQ.test(seq) || fields?.get("kind")) return undefined;
  return { entryId, deductionId, accountId, cost, seq };
}

function tryRead(raw: FieldBytes): ReadonlyMap<string, string> | undefined {
  try {
    return readFields(raw);
  } catch (error) {
    if (error instanceof UnreadableEntry) return undefined;
    throw error;
  }
}

const COST = /^\d{1,20}(?:\.\d{1,20})?$/;
const SEQ = /^\d{1,18}$/;

type Booked = "settled" | "half_settled" | "dead_lettered";

export async function readBooks(
  billing: Billing,
  shard: number,
  entries: readonly { raw: EntryInHand; entry: Entry | undefined }[],
): Promise<Map<string, Booked>> {
  const usage = entries.flatMap(({ entry }) => (entry?.kind === "usage" ? [entry] : []));
  const links = entries.flatMap(({ entry }) => (entry && entry.kind !== "usage" ? [entry] : []));
  const booked = new Map<string, Booked>();
  const letters = await billing.query<{ stream_entry_id: string }>(
    `SELECT stream_entry_id FROM data.dead_letter WHERE stream_key = $1 AND stream_entry_id = ANY($2) AND state <> 'replayed'`,
    [streamKey(shard), entries.map(({ raw }) => raw.entryId)],
  );
  for (const letter of letters) booked.set(letter.stream_entry_id, "dead_lettered");
  if (usage.length > 0) for (const [id, found] of await readUsageBooks(billing, usage)) booked.set(id, found);
  if (links.length > 0) for (const id of await readLinkBooks(billing, shard, links)) booked.set(id, "settled");
  return booked;
}

async function readUsageBooks(billing: Billing, usage: readonly UsageEntry[]): Promise<Map<string, Booked>> {
  const rows = await billing.query<{ entry_id: string; settled: boolean }>(
    `SELECT e.entry_id, u.settled_at IS NOT NULL AS settled
       FROM unnest($1::text[], $2::uuid[], $3::numeric[], $4::bigint[], $5::text[]) AS e(deduction_id, account_id, cost, account_seq, entry_id)
       JOIN data.usage_log u ON u.deduction_id = e.deduction_id AND u.account_id = e.account_id AND u.cost = e.cost
        AND (u.settled_at IS NULL OR u.account_seq IS NOT DISTINCT FROM e.account_seq)
     UNION ALL
     SELECT e.entry_id, true FROM unnest($2::uuid[], $4::bigint[], $5::text[]) AS e(account_id, account_seq, entry_id)
       JOIN data.account_balance b ON b.id = e.account_id AND e.account_seq <= b.closed_seq`,
    [
      usage.map((entry) => entry.deductionId),
      usage.map((entry) => entry.accountId),
      usage.map((entry) => formatUnits(entry.costNanos)),
      usage.map((entry) => entry.accountSeq?.toString() ?? null),
      usage.map((entry) => entry.entryId),
    ],
  );
  return new Map(rows.map((row) => [row.entry_id, row.settled ? "settled" : "half_settled"]));
}

async function readLinkBooks(billing: Billing, shard: number, links: readonly LinkEntry[]): Promise<string[]> {
  const rows = await billing.query<{ entry_id: string }>(
    `SELECT e.entry_id FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS e(account_id, account_seq, entry_id)
       JOIN data.account_balance_audit a ON a.account_id = e.account_id AND a.account_seq = e.account_seq
        AND a.stream_key = $4 AND a.stream_entry_id = e.entry_id`,
    [
      links.map((link) => link.accountId),
      links.map((link) => link.accountSeq.toString()),
      links.map((link) => link.entryId),
      streamKey(shard),
    ],
  );
  return rows.map((row) => row.entry_id);
}
