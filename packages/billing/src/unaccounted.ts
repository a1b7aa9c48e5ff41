// Entries that are acked and not in the books, those of which an older worker wrote a row and moved no balance included: the
// set beside the proven mark, and what is acked after it (the mark waits at the first entry that is still on its way).
import type { Billing } from "./billing.ts";
import { streamKey } from "./keys.ts";
import { chosenShards, type EntryFilters, entryMatcher } from "./pending.ts";
import { readMark, readUnaccountedIds } from "./proven.ts";
import { isLater, readLastDelivered, readStandings, readStandingsOf, type StandingEntry } from "./standing.ts";

const PAGE = 1_000;

/** Up to `limit` of them, by shard and age. Throws what is unreachable. */
export async function listUnaccounted(
  billing: Billing,
  filters: EntryFilters = {},
  limit = 10_000,
): Promise<{ entries: StandingEntry[]; more: boolean }> {
  const entries: StandingEntry[] = [];
  for await (const page of unaccountedPages(billing, filters)) {
    entries.push(...page);
    if (entries.length > limit) return { entries: entries.slice(0, limit), more: true };
  }
  return { entries, more: false };
}

/** The same, a page at a time. */
export async function* unaccountedPages(billing: Billing, filters: EntryFilters): AsyncGenerator<StandingEntry[]> {
  const matches = entryMatcher(filters.ids);
  const newestMs = filters.olderThanMs === undefined ? Number.POSITIVE_INFINITY : Date.now() - filters.olderThanMs;
  const choose = (entries: readonly StandingEntry[]) =>
    entries.filter(
      ({ raw, entry, standing }) =>
        (standing === "unaccounted" || standing === "half_settled") &&
        Number(raw.entryId.split("-")[0]) <= newestMs &&
        matches(raw.shard, raw.entryId, entry),
    );
  for (const shard of chosenShards(billing, filters)) {
    const seen = new Set<string>();
    for await (const page of judgedPages(billing, shard)) {
      const chosen = choose(page).filter(({ raw }) => !seen.has(raw.entryId));
      for (const { raw } of chosen) seen.add(raw.entryId);
      if (chosen.length > 0) yield chosen;
    }
  }
}

/** What stands beside the mark, then what follows it up to the last entry that was delivered. */
async function* judgedPages(billing: Billing, shard: number): AsyncGenerator<StandingEntry[]> {
  // The mark first: what a pass moves into the set meanwhile is then seen twice, and never missed.
  const mark = await readMark(billing, shard);
  const ids = [...(await readUnaccountedIds(billing, shard)).keys()].toSorted((a, b) => (isLater(a, b) ? 1 : -1));
  for (let at = 0; at < ids.length; at += PAGE) yield await readStandingsOf(billing, shard, ids.slice(at, at + PAGE));
  const lastDelivered = await readLastDelivered(billing, shard);
  for (let from = mark; isLater(lastDelivered, from); ) {
    const page = await readStandings(billing, shard, `(${from}`, lastDelivered, PAGE);
    yield page.entries;
    const last = page.entries.at(-1);
    if (!last || !page.more) return;
    from = last.raw.entryId;
  }
}

/** How many there are in a shard. */
export async function countUnaccounted(billing: Billing, shard: number): Promise<number> {
  let count = 0;
  for await (const page of unaccountedPages(billing, { shards: [shard] })) count += page.length;
  return count;
}

/** How an entry is named where only text goes: `stream:deductions:3/1700000000000-0`. */
export function entryName(shard: number, entryId: string): string {
  return `${streamKey(shard)}/${entryId}`;
}
