// The pending entries as a list with pages: by shard, the oldest first. Its window is pinned by the moment when it was opened: what was
// appended later never appears in it. What is acked meanwhile does disappear, as it is pending no more.
import { type Count, InvalidPage, type Page, type PageRequest } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import {
  chosenShards,
  type EntryPlace,
  newestOf,
  type PendingEntry,
  type PendingFilters,
  pendingPages,
  readHoldings,
} from "./pending.ts";

const COUNT_MAX = 10_000;
const COUNT_STEP = 1_000;

type Asked = Pick<PageRequest, "limit" | "cursor" | "pin">;

/** A page that is gone back to begins where as many rows stand before the other one now. Throws `InvalidPage`, `redis_unavailable`. */
export async function pagePending(
  billing: Billing,
  filters: PendingFilters,
  { limit, cursor, pin = String(Date.now()) }: Asked,
): Promise<Page<PendingEntry>> {
  const inWindow = withinPin(filters, pin);
  const after = cursor === undefined ? undefined : await placeOf(billing, inWindow, readCursor(cursor), limit);
  const rows: PendingEntry[] = [];
  const from = { size: limit + 1, ...(after === undefined ? {} : { after }) };
  for await (const page of pendingPages(billing, inWindow, from)) {
    rows.push(...page);
    if (rows.length > limit) break;
  }
  const more = rows.length > limit;
  const taken = rows.slice(0, limit);
  const [first, last] = [taken.at(0), taken.at(-1)];
  const next = more && last ? nameOf(last) : null;
  const begins = first ?? after;
  const previous = after === undefined || begins === undefined ? null : `${BACK}${nameOf(begins)}`;
  return { rows: taken, next, previous, pin, searching: false };
}

/** Begins a cursor that leads to what stands before its place. */
const BACK = "before ";

type Cursor = { place: EntryPlace; back: boolean };

/** Behind which entry a page begins; undefined: with the first of all. */
async function placeOf(
  billing: Billing,
  filters: PendingFilters,
  { place, back }: Cursor,
  limit: number,
): Promise<EntryPlace | undefined> {
  if (!back) return place;
  // An id finds fewer entries than a page has.
  if (filters.ids !== undefined) return undefined;
  const before = await placesBefore(billing, filters, place, limit + 1);
  return before.length > limit ? before[0] : undefined;
}

/** Up to `limit` places before one. Redis lists what a group holds forwards alone: a shard is read from its oldest entry on. */
async function placesBefore(billing: Billing, filters: PendingFilters, place: EntryPlace, limit: number) {
  let found: EntryPlace[] = [];
  for (const shard of chosenShards(billing, filters).toReversed()) {
    if (shard > place.shard || found.length >= limit) continue;
    let here: EntryPlace[] = [];
    const to = shard === place.shard ? `(${place.entryId}` : newestOf(filters);
    for await (const held of heldIn(billing, shard, to, filters.consumer))
      here = [...here, ...held.map(({ entryId }) => ({ shard, entryId }))].slice(-limit);
    found = [...here, ...found].slice(-limit);
  }
  return found;
}

/** The filters within a window. Throws `InvalidPage`. */
export function withinPin(filters: PendingFilters, pin: string): PendingFilters {
  return { ...filters, newestMs: readPin(pin) };
}

/** How many the filters find in the window: exact to 10,000. */
export async function countPending(billing: Billing, filters: PendingFilters, pin: string): Promise<Count> {
  let count = 0;
  const bounded = withinPin(filters, pin);
  for await (const found of filters.ids === undefined ? heldPages(billing, bounded) : pendingPages(billing, bounded)) {
    count += found.length;
    if (count > COUNT_MAX) return { count: COUNT_MAX, exact: false };
  }
  return { count, exact: true };
}

/** How many of those that were appended since are pending. */
export async function countNewerPending(billing: Billing, filters: PendingFilters, pin: string): Promise<Count> {
  const from = String(readPin(pin) + 1);
  const shards = chosenShards(billing, filters);
  const found = await Promise.all(
    shards.map((shard) => readHoldings(billing, shard, from, "+", COUNT_STEP, filters.consumer)),
  );
  const count = found.flat().length;
  return { count, exact: found.every((held) => held.length < COUNT_STEP) };
}

/** As `pendingPages`, without the entries themselves. */
async function* heldPages(billing: Billing, filters: PendingFilters) {
  for (const shard of chosenShards(billing, filters))
    yield* heldIn(billing, shard, newestOf(filters), filters.consumer);
}

async function* heldIn(billing: Billing, shard: number, to: string, consumer: string | undefined) {
  for (let from = "-"; ; ) {
    const held = await readHoldings(billing, shard, from, to, COUNT_STEP, consumer);
    yield held;
    const last = held.at(-1);
    if (!last || held.length < COUNT_STEP) return;
    from = `(${last.entryId}`;
  }
}

function nameOf({ shard, entryId }: EntryPlace): string {
  return `${shard}/${entryId}`;
}

function readCursor(cursor: string): Cursor {
  const [, back, shard, entryId] = /^(before )?(\d{1,5})\/(\d{1,20}-\d{1,20})$/.exec(cursor) ?? [];
  if (shard === undefined || entryId === undefined) throw new InvalidPage();
  return { place: { shard: Number(shard), entryId }, back: back !== undefined };
}

function readPin(pin: string): number {
  if (!/^\d{1,15}$/.test(pin)) throw new InvalidPage();
  return Number(pin);
}
