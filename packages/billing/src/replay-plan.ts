// What a replay would do, target by target: the dry run, and the frozen set of the act. Nothing is changed here, and what is
// said here guards nothing: the SQL that settles is the guard, whatever happened since.
import type { Billing } from "./billing.ts";
import { decodeRaw } from "./dead-letters.ts";
import { BillingError } from "./errors.ts";
import { shardOfStream, streamKey } from "./keys.ts";
import { type LetterFilters, letterCondition } from "./letters.ts";
import { formatUnits } from "./money.ts";
import { MAX_TARGETS } from "./operations.ts";
import {
  chosenShards,
  type EntryFilters,
  type PendingFilters,
  parseEntryName,
  pendingPages,
  readEntry,
  type Unreadable,
} from "./pending.ts";
import { readBooks } from "./standing.ts";
import type { Entry, RawEntry } from "./stream.ts";
import { entryName, unaccountedPages } from "./unaccounted.ts";

const PAGE = 1_000;

export type ReplaySelection = (
  | ({ kind: "pending" } & PendingFilters)
  | ({ kind: "dead_letters" } & Omit<LetterFilters, "states">)
  | ({ kind: "unaccounted" } & EntryFilters)
) & {
  /** Only the first so many. */
  limit?: number;
};

/** One target as it is kept with the act. */
export type ReplayTarget = {
  kind: "pending" | "dead_letter" | "unaccounted";
  shard: number;
  entry_id: string;
  dead_letter_id?: string;
  /** Where they can be read. */
  deduction_id?: string;
  account_id?: string;
  cost?: string;
};

export type TargetClass = "already_applied" | "held_by_live_consumer" | "eligible" | "unparseable" | "account_gone";

export type PlannedTarget = {
  name: string;
  target: ReplayTarget;
  class: TargetClass;
  /** Who holds it, or why it cannot be read. */
  note?: string;
};

export type ReplayPlan = {
  targets: PlannedTarget[];
  classes: Record<TargetClass, number>;
  /** Ids that were asked for and name no target. */
  missing: string[];
};

/** A target with its entry as far as it can be read. */
type Found = {
  kind: ReplayTarget["kind"];
  letterId?: string;
  raw: RawEntry;
  entry: Entry | undefined;
  unreadable: Unreadable | undefined;
  /** The live consumer that holds it. */
  holder?: string;
  /** A letter that is closed: in the books, or written off. */
  closed?: boolean;
};

/** Finds and classifies. Throws `invalid_request` for more targets than one act may have, and what is unreachable. */
export async function planReplay(billing: Billing, selection: ReplaySelection): Promise<ReplayPlan> {
  const targets: PlannedTarget[] = [];
  const limit = selection.limit ?? Number.POSITIVE_INFINITY;
  for await (const page of findTargets(billing, selection)) {
    targets.push(...(await classify(billing, page)));
    if (targets.length >= limit) break;
    if (targets.length > MAX_TARGETS)
      throw new BillingError(
        "invalid_request",
        `More than ${MAX_TARGETS} targets match: choose a shard, an age, or a limit.`,
      );
  }
  const { settled, missing } = await explainMissing(billing, selection, targets);
  targets.push(...settled);
  if (targets.length > limit) targets.length = limit;
  const classes = { already_applied: 0, held_by_live_consumer: 0, eligible: 0, unparseable: 0, account_gone: 0 };
  for (const target of targets) classes[target.class]++;
  return { targets, classes, missing };
}

function findTargets(billing: Billing, selection: ReplaySelection): AsyncGenerator<Found[]> {
  switch (selection.kind) {
    case "pending":
      return findPending(billing, selection);
    case "dead_letters":
      return findLetters(billing, selection);
    case "unaccounted":
      return findUnaccounted(billing, selection);
  }
}

async function* findPending(billing: Billing, filters: PendingFilters): AsyncGenerator<Found[]> {
  for await (const page of pendingPages(billing, filters))
    yield page.map(({ raw, entry, unreadable, live, consumer }) => ({
      kind: "pending" as const,
      raw,
      entry,
      unreadable,
      ...(live ? { holder: consumer } : {}),
    }));
}

async function* findUnaccounted(billing: Billing, filters: EntryFilters): AsyncGenerator<Found[]> {
  for await (const page of unaccountedPages(billing, filters))
    yield page.map(({ raw }) => ({ kind: "unaccounted" as const, raw, ...readEntry(raw) }));
}

/** Open letters; by their ids also those that are replayed, so that asking twice is answered as already applied. */
async function* findLetters(billing: Billing, filters: LetterFilters): AsyncGenerator<Found[]> {
  const states = filters.ids === undefined ? (["open"] as const) : (["open", "replayed"] as const);
  for (let after = "0"; ; ) {
    const values: unknown[] = [after, PAGE];
    const where = letterCondition({ ...filters, states }, values);
    const rows = await billing.query<LetterRow>(
      `SELECT d.id, d.stream_key, d.stream_entry_id, d.raw, d.state FROM data.dead_letter d
        WHERE d.id > $1::bigint AND ${where} ORDER BY d.id LIMIT $2`,
      values,
    );
    if (rows.length > 0)
      yield rows.map((row) => {
        const read = readLetter(row);
        return { kind: "dead_letter" as const, letterId: row.id, closed: row.state === "replayed", ...read };
      });
    const last = rows.at(-1);
    if (!last || rows.length < PAGE) return;
    after = last.id;
  }
}

export type LetterRow = {
  id: string;
  stream_key: string;
  stream_entry_id: string;
  raw: Buffer;
  state: "open" | "discarded" | "replayed";
};

/** A letter's entry, read again from its bytes. */
export function readLetter(row: LetterRow): Pick<Found, "raw" | "entry" | "unreadable"> {
  const position = { shard: shardOfStream(row.stream_key) ?? -1, entryId: row.stream_entry_id, deliveryCount: 0 };
  try {
    const raw = { ...position, fields: decodeRaw(row.raw) };
    return { raw, ...readEntry(raw) };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const unreadable = { errorClass: "invalid_raw", message: error.message };
    return { raw: { ...position, fields: [] }, entry: undefined, unreadable };
  }
}

async function classify(billing: Billing, page: readonly Found[]): Promise<PlannedTarget[]> {
  const settled = await findSettled(billing, page);
  const accounts = await findAccounts(billing, page);
  return page.map((found) => {
    const { kind, raw, entry, unreadable, holder, letterId, closed } = found;
    const name = letterId ?? entryName(raw.shard, raw.entryId);
    const target: ReplayTarget = {
      kind,
      shard: raw.shard,
      entry_id: raw.entryId,
      ...(letterId === undefined ? {} : { dead_letter_id: letterId }),
      ...(entry === undefined ? {} : { account_id: entry.accountId }),
      ...(entry?.kind === "usage" ? { deduction_id: entry.deductionId, cost: formatUnits(entry.costNanos) } : {}),
    };
    if (closed || settled.has(found)) return { name, target, class: "already_applied" };
    if (holder !== undefined) return { name, target, class: "held_by_live_consumer", note: holder };
    if (!entry) return { name, target, class: "unparseable", note: unreadable?.message ?? "" };
    if (!accounts.has(entry.accountId)) return { name, target, class: "account_gone", note: entry.accountId };
    return { name, target, class: "eligible" };
  });
}

/** Those whose deduction or link is in the books, with the same account, cost and seq. */
async function findSettled(billing: Billing, page: readonly Found[]): Promise<Set<Found>> {
  const settled = new Set<Found>();
  for (const [shard, inShard] of Map.groupBy(page, ({ raw }) => raw.shard)) {
    const booked = await readBooks(billing, shard, inShard);
    for (const found of inShard) if (booked.get(found.raw.entryId) === "settled") settled.add(found);
    const removed = inShard.filter(({ kind, raw }) => kind === "pending" && raw.fields.length === 0);
    const bookedById = await findBookedIds(
      billing,
      shard,
      removed.map(({ raw }) => raw.entryId),
    );
    for (const found of removed) if (bookedById.has(found.raw.entryId)) settled.add(found);
  }
  return settled;
}

/** Which entries, no longer in the stream, were settled: by the place that their rows name. */
export async function findBookedIds(
  billing: Billing,
  shard: number,
  entryIds: readonly string[],
): Promise<Set<string>> {
  if (entryIds.length === 0) return new Set();
  const rows = await billing.query<{ entry_id: string }>(
    `SELECT stream_entry_id AS entry_id FROM data.usage_log
      WHERE stream_entry_id = ANY($2) AND stream_key = $1 AND settled_at IS NOT NULL
     UNION SELECT stream_entry_id FROM data.account_balance_audit
      WHERE stream_entry_id = ANY($2) AND stream_key = $1 AND deduction_id IS NULL AND account_seq IS NOT NULL`,
    [streamKey(shard), entryIds],
  );
  return new Set(rows.map((row) => row.entry_id));
}

async function findAccounts(billing: Billing, page: readonly Found[]): Promise<Set<string>> {
  const ids = [...new Set(page.flatMap(({ entry }) => entry?.accountId ?? []))];
  const rows = await billing.query<{ id: string }>("SELECT id FROM data.account_balance WHERE id = ANY($1::uuid[])", [
    ids,
  ]);
  return new Set(rows.map((row) => row.id));
}

/** What was asked for by id and is no target any more: what is in the books is already applied, the rest is not there. */
async function explainMissing(
  billing: Billing,
  selection: ReplaySelection,
  targets: readonly PlannedTarget[],
): Promise<{ settled: PlannedTarget[]; missing: string[] }> {
  const found = new Set(
    targets.flatMap(({ target: { shard, entry_id, dead_letter_id, deduction_id } }) => [
      entry_id,
      entryName(shard, entry_id),
      dead_letter_id,
      deduction_id,
    ]),
  );
  const missing: string[] = [];
  const settled: PlannedTarget[] = [];
  for (const id of selection.ids ?? []) {
    if (found.has(id)) continue;
    const places = selection.kind === "dead_letters" ? [] : await findBooked(billing, id);
    if (places.length === 0) missing.push(id);
    for (const { shard, entryId } of places) {
      const kind = selection.kind === "pending" ? "pending" : "unaccounted";
      const target = { kind, shard, entry_id: entryId } as const;
      settled.push({ name: entryName(shard, entryId), target, class: "already_applied" });
    }
  }
  return { settled, missing };
}

/** Where an entry or deduction that is in the books stood in the streams. */
async function findBooked(billing: Billing, id: string): Promise<{ shard: number; entryId: string }[]> {
  const { shard, entryId } = parseEntryName(id);
  const rows = await billing.query<{ stream_key: string; entry_id: string }>(
    `SELECT stream_key, stream_entry_id AS entry_id FROM data.usage_log
      WHERE (stream_entry_id = $1 OR deduction_id = $1) AND stream_key = ANY($2) AND settled_at IS NOT NULL
     UNION SELECT stream_key, stream_entry_id FROM data.account_balance_audit
      WHERE stream_entry_id = $1 AND stream_key = ANY($2) AND deduction_id IS NULL AND account_seq IS NOT NULL`,
    [entryId ?? id, chosenShards(billing, shard === undefined ? {} : { shards: [shard] }).map(streamKey)],
  );
  return rows.map((row) => ({ shard: shardOfStream(row.stream_key) ?? -1, entryId: row.entry_id }));
}
