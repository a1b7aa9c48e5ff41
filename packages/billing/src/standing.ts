// Where entries of a stream stand: what the stream and its group say first, the books after. In that order an entry that is
// acked and not in the books is truly unaccounted: ours is acked only after its commit.
import type { Billing } from "./billing.ts";
import { UnreadableEntry } from "./fields.ts";
import { GROUP, streamKey } from "./keys.ts";
import { formatUnits } from "./money.ts";
import { type RedisClient, replyArray } from "./redis.ts";
import { fieldOf } from "./stats.ts";
import { decodeEntry, type Entry, type LinkEntry, type RawEntry, type UsageEntry } from "./stream.ts";

/**
 * `settled`: the same id, account, cost and seq is in the books and settled. `half_settled`: an older worker wrote the row and
 * moved no balance. `unaccounted`: acked, and not in the books.
 */
export type Standing = "settled" | "half_settled" | "dead_lettered" | "pending" | "unread" | "unaccounted";

export type StandingEntry = {
  raw: RawEntry;
  /** Undefined when the entry cannot be read. */
  entry: Entry | undefined;
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
  const rows = await billing.ask((redis) => redis.xrangeBuffer(streamKey(shard), from, to, "COUNT", limit));
  const raws = rows.map(([id, fields]) => ({ shard, entryId: id.toString(), deliveryCount: 0, fields }));
  const entries = await judge(billing, shard, raws, lastDelivered);
  return { entries, more: rows.length === limit };
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
  raws: RawEntry[],
  lastDelivered: string,
): Promise<StandingEntry[]> {
  const pending = await readPending(billing, shard, raws);
  const entries = raws.map((raw) => ({ raw, entry: tryDecode(raw) }));
  const inBooks = await readBooks(billing, shard, entries);
  return entries.map(({ raw, entry }) => {
    const booked = inBooks.get(raw.entryId);
    const onItsWay = isLater(raw.entryId, lastDelivered)
      ? ("unread" as const)
      : pending.has(raw.entryId)
        ? ("pending" as const)
        : undefined;
    const standing = booked === "settled" ? booked : (onItsWay ?? booked ?? "unaccounted");
    return { raw, entry, standing, acked: onItsWay === undefined };
  });
}

export function tryDecode(raw: RawEntry): Entry | undefined {
  try {
    return decodeEntry(raw, raw.fields);
  } catch (error) {
    if (error instanceof UnreadableEntry) return undefined;
    throw error;
  }
}

/** Whether stream id `a` comes after `b`. */
export function isLater(a: string, b: string): boolean {
  const [ams = 0n, aseq = 0n] = a.split("-").map(BigInt);
  const [bms = 0n, bseq = 0n] = b.split("-").map(BigInt);
  return ams > bms || (ams === bms && aseq > bseq);
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

async function readPending(billing: Billing, shard: number, raws: readonly RawEntry[]): Promise<Set<string>> {
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

type Booked = "settled" | "half_settled" | "dead_lettered";

export async function readBooks(
  billing: Billing,
  shard: number,
  entries: readonly { raw: RawEntry; entry: Entry | undefined }[],
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
