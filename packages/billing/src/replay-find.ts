// Finding what a replay is asked to settle: what is pending, what is a dead letter, what is acked and not in the books; or exact targets
// by their names, wherever they are by now. Only looks; classified by replay-plan.ts.
import type { Billing } from "./billing.ts";
import { isLive, readConsumers } from "./claim.ts";
import { decodeRaw } from "./dead-letters.ts";
import { BillingError } from "./errors.ts";
import { alone, listOf } from "./fields.ts";
import { shardOfStream, streamKey } from "./keys.ts";
import { type LetterFilters, letterCondition } from "./letters.ts";
import {
  type EntryFilters,
  type PendingFilters,
  parseEntryName,
  pendingPages,
  readEntry,
  readHoldings,
  type Unreadable,
} from "./pending.ts";
import { isLater, readStandingsOf } from "./standing.ts";
import { type Entry, type EntryInHand, isUuid, type RawEntry } from "./stream.ts";
import { entryName, unaccountedPages } from "./unaccounted.ts";

const PAGE = 1_000;
const LETTERS = "SELECT d.id, d.stream_key, d.stream_entry_id, d.raw, d.state FROM data.dead_letter d";

export type ReplaySelection = (
  | ({ kind: "pending" } & PendingFilters)
  | ({ kind: "dead_letters" } & Omit<LetterFilters, "states">)
  | ({ kind: "unaccounted" } & EntryFilters)
  /** Exactly these, wherever they are by now: dead letters by their ids, entries as `stream:deductions:3/1700000000000-0`. */
  | { kind: "named"; ids: readonly string[] }
  /** What failed of an earlier replay, or was left by its abort, wherever it is by now. */
  | { kind: "failed"; operationId: string }
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

/** A target with its entry as far as it can be read. */
export type Found = {
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

/** The targets of a selection as they are now, a page at a time. */
export function findTargets(
  billing: Billing,
  selection: Exclude<ReplaySelection, { kind: "failed" }>,
): AsyncGenerator<Found[]> {
  switch (selection.kind) {
    case "pending":
      return findPending(billing, selection);
    case "dead_letters":
      return findLetters(billing, selection);
    case "unaccounted":
      return findUnaccounted(billing, selection);
    case "named":
      return findNamed(billing, selection.ids);
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

/** One in a reply of a thousand would keep the whole of it. */
function listed(raw: EntryInHand): RawEntry {
  return { ...raw, fields: listOf(alone(raw.fields)) };
}

async function* findUnaccounted(billing: Billing, filters: EntryFilters): AsyncGenerator<Found[]> {
  for await (const page of unaccountedPages(billing, filters))
    yield page.map(({ raw }) => ({ kind: "unaccounted" as const, raw: listed(raw), ...readEntry(raw) }));
}

/** Open letters; by their ids also those that are replayed, so that asking twice is answered as already applied. */
async function* findLetters(billing: Billing, filters: LetterFilters): AsyncGenerator<Found[]> {
  const states = filters.ids === undefined ? (["open"] as const) : (["open", "replayed"] as const);
  for (let after = "0"; ; ) {
    const values: unknown[] = [after, PAGE];
    const where = letterCondition({ ...filters, states }, values);
    const rows = await billing.query<LetterRow>(
      `${LETTERS} WHERE d.id > $1::bigint AND ${where} ORDER BY d.id LIMIT $2`,
      values,
    );
    if (rows.length > 0) yield rows.map(foundLetter);
    const last = rows.at(-1);
    if (!last || rows.length < PAGE) return;
    after = last.id;
  }
}

function foundLetter(row: LetterRow): Found {
  return { kind: "dead_letter", letterId: row.id, closed: row.state === "replayed", ...readLetter(row) };
}

/** Each where it is by now: what was pending may be acked, or a dead letter, or in the books. */
async function* findNamed(billing: Billing, names: readonly string[]): AsyncGenerator<Found[]> {
  const letterIds = names.filter((name) => /^\d{1,18}$/.test(name));
  for (let at = 0; at < letterIds.length; at += PAGE) {
    const rows = await billing.query<LetterRow>(
      `${LETTERS} WHERE d.id = ANY($1::bigint[]) AND d.state <> 'discarded' ORDER BY d.id`,
      [letterIds.slice(at, at + PAGE)],
    );
    yield rows.map(foundLetter);
  }
  const places = names.flatMap((name) => {
    const { shard, entryId } = parseEntryName(name);
    return shard === undefined || entryId === undefined || shard >= billing.numShards ? [] : [{ shard, entryId }];
  });
  for (const [shard, inShard] of Map.groupBy(places, (place) => place.shard)) {
    const ids = [...new Set(inShard.map(({ entryId }) => entryId))].toSorted((a, b) => (isLater(a, b) ? 1 : -1));
    for (let at = 0; at < ids.length; at += PAGE) yield await findPlaces(billing, shard, ids.slice(at, at + PAGE));
  }
}

/** Entries of one shard by their ids. Those that are nowhere any more are left out. */
async function findPlaces(billing: Billing, shard: number, ids: readonly string[]): Promise<Found[]> {
  const standings = await readStandingsOf(billing, shard, ids);
  const inStream = new Set(standings.map(({ raw }) => raw.entryId));
  const removed = ids.filter((id) => !inStream.has(id));
  const pending = standings.flatMap(({ raw, acked }) => (acked ? [] : [raw.entryId]));
  const consumers = await readConsumers(billing, shard);
  const looks = [...pending, ...removed].map((id) => readHoldings(billing, shard, id, id, 1));
  const holdings = new Map((await Promise.all(looks)).flat().map((holding) => [holding.entryId, holding]));
  const letters = await findUnclosedLetters(billing, shard, ids);
  const entries = [
    ...standings.map(({ raw }) => listed(raw)),
    ...removed.map((entryId): RawEntry => ({ shard, entryId, deliveryCount: 0, fields: [] })),
  ];
  return entries.flatMap((raw): Found[] => {
    const letter = letters.get(raw.entryId);
    if (letter) return letter.state === "discarded" ? [] : [foundLetter(letter)];
    const holding = holdings.get(raw.entryId);
    if (!holding && raw.fields.length === 0) return [];
    const holder = holding && isLive(consumers, holding.consumer) ? { holder: holding.consumer } : {};
    return [{ kind: holding ? "pending" : "unaccounted", raw, ...readEntry(raw), ...holder }];
  });
}

async function findUnclosedLetters(
  billing: Billing,
  shard: number,
  entryIds: readonly string[],
): Promise<Map<string, LetterRow>> {
  const rows = await billing.query<LetterRow>(
    `${LETTERS} WHERE d.stream_key = $1 AND d.stream_entry_id = ANY($2) AND d.state <> 'replayed' ORDER BY d.id`,
    [streamKey(shard), entryIds],
  );
  return new Map(rows.map((row) => [row.stream_entry_id, row]));
}

/** The names of what failed of a replay, or was left. Throws `invalid_request` when there is no such replay. */
export async function readFailedNames(billing: Billing, { operationId }: { operationId: string }): Promise<string[]> {
  const [act] = isUuid(operationId)
    ? await billing.query<{ action: string; finished: boolean }>(
        "SELECT action, finished_at IS NOT NULL AS finished FROM data.operator_action WHERE id = $1",
        [operationId],
      )
    : [];
  if (act?.action !== "replay") throw new BillingError("invalid_request", `There is no replay ${operationId}.`);
  if (!act.finished) throw new BillingError("invalid_request", `The replay ${operationId} is not over yet.`);
  const rows = await billing.query<{ target: ReplayTarget }>(
    "SELECT target FROM data.operation_item WHERE operation_id = $1 AND (outcome IS NULL OR outcome = 'failed') ORDER BY n",
    [operationId],
  );
  return rows.map(({ target }) => target.dead_letter_id ?? entryName(target.shard, target.entry_id));
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
