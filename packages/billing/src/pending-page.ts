// The pending entries as a list with pages: by shard, the oldest first. Its window is pinned by the moment when it was opened: what was
// appended later never appears in it. What is acked meanwhile does disappear, as it is pending no more.
import { type Count, InvalidPage, type Page, type PageRequest } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import {
  chosenShards,
  type EntryPlace,
  type PendingEntry,
  type PendingFilters,
  pendingPages,
  readHoldings,
} from "./pending.ts";

const COUNT_MAX = 10_000;
const COUNT_STEP = 1_000;

type Asked = Pick<PageRequest, "limit" | "cursor" | "pin">;

/** There is a way to the next page, and none back but to the first. Throws `InvalidPage`, `redis_unavailable`. */
export async function pagePending(
  billing: Billing,
  filters: PendingFilters,
  { limit, cursor, pin = String(Date.now()) }: Asked,
): Promise<Page<PendingEntry>> {
  const after = cursor === undefined ? {} : { after: readCursor(cursor) };
  const rows: PendingEntry[] = [];
  for await (const page of pendingPages(billing, olderThanPin(filters, pin), { ...after, size: limit + 1 })) {
    rows.push(...page);
    if (rows.length > limit) break;
  }
  const more = rows.length > limit;
  const taken = rows.slice(0, limit);
  const last = taken.at(-1);
  const next = more && last ? `${last.shard}/${last.entryId}` : null;
  return { rows: taken, next, previous: null, pin, searching: false };
}

/** The filters within a window. Throws `InvalidPage`. */
export function olderThanPin(filters: PendingFilters, pin: string): PendingFilters {
  const sincePin = Date.now() - readPin(pin);
  return { ...filters, olderThanMs: Math.max(filters.olderThanMs ?? 0, sincePin) };
}

/** How many the filters find in the window: exact to 10,000. */
export async function countPending(billing: Billing, filters: PendingFilters, pin: string): Promise<Count> {
  let count = 0;
  const bounded = olderThanPin(filters, pin);
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
  const newest = String(Date.now() - (filters.olderThanMs ?? 0));
  for (const shard of chosenShards(billing, filters))
    for (let from = "-"; ; ) {
      const held = await readHoldings(billing, shard, from, newest, COUNT_STEP, filters.consumer);
      yield held;
      const last = held.at(-1);
      if (!last || held.length < COUNT_STEP) break;
      from = `(${last.entryId}`;
    }
}

function readCursor(cursor: string): EntryPlace {
  const [, shard, entryId] = /^(\d{1,5})\/(\d{1,20}-\d{1,20})$/.exec(cursor) ?? [];
  if (shard === undefined || entryId === undefined) throw new InvalidPage();
  return { shard: Number(shard), entryId };
}

function readPin(pin: string): number {
  if (!/^\d{1,15}$/.test(pin)) throw new InvalidPage();
  return Number(pin);
}
