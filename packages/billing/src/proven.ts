// The proven mark: up to it every entry of a shard is in the books, or is kept in a small set beside it as unaccounted. Loads,
// reconciliations and traces start from the mark instead of reading a day of entries. It is kept in both stores: a Postgres
// that went back to an older copy shows an older mark, and everything since is proven again.
import { openAlert } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import { epochKey, provenKey, unaccountedKey } from "./keys.ts";
import { fromBooks } from "./postgres.ts";
import { loadScript, replyArray, runScript } from "./redis.ts";
import { isLater, readStandings, readStandingsOf, type StandingEntry } from "./standing.ts";

const script = loadScript("./prove.lua");
const PAGE = 1_000;

export type Proof = {
  shard: number;
  mark: string /** Entries passed that are acked and not in the books. */;
  unaccounted: StandingEntry[];
};

/** The older of the two stores' marks; `0-0` when a store has none. */
export async function readMark(billing: Billing, shard: number): Promise<string> {
  const { inRedis, inPostgres } = await readMarks(billing, shard);
  return isLater(inRedis, inPostgres) ? inPostgres : inRedis;
}

async function readMarks(billing: Billing, shard: number): Promise<{ inRedis: string; inPostgres: string }> {
  const [row] = await billing.query<{ proven: string | null }>("SELECT proven FROM data.shard WHERE shard = $1", [
    shard,
  ]);
  const inRedis = (await billing.ask((redis) => redis.get(provenKey(shard)))) ?? "0-0";
  return { inRedis, inPostgres: row?.proven ?? "0-0" };
}

export type ProvenShard = { shard: number; mark: string; unaccounted: number };

/** Each shard's mark, and how many entries are kept beside it as unaccounted. Throws what is unreachable. */
export async function readProven(billing: Billing): Promise<ProvenShard[]> {
  return await Promise.all(
    Array.from({ length: billing.numShards }, async (_, shard) => ({
      shard,
      mark: await readMark(billing, shard),
      unaccounted: await billing.ask((redis) => redis.hlen(unaccountedKey(shard))),
    })),
  );
}

/** The ids of unaccounted entries beside the mark, with the account of each (`""` when the entry cannot be read). */
export async function readUnaccountedIds(billing: Billing, shard: number): Promise<Map<string, string>> {
  return new Map(Object.entries(await billing.ask((redis) => redis.hgetall(unaccountedKey(shard)))));
}

/**
 * Brings one shard's mark up to date and returns it with what is unaccounted now. Stops at the first entry still on its way. After each page
 * of 1,000 it calls `rest`, with the milliseconds that the page took: what is passed by then is proven, and others may pass more meanwhile.
 */
export async function proveShard(
  billing: Billing,
  shard: number,
  rest: (workedMs: number) => Promise<void> = async () => {},
): Promise<Proof> {
  const { inRedis, inPostgres } = await readMarks(billing, shard);
  let mark = isLater(inRedis, inPostgres) ? inPostgres : inRedis;
  let expected = inRedis;
  const kept = await readUnaccountedIds(billing, shard);
  const unaccounted = await recheck(billing, shard, kept);
  const stillKept = new Set(unaccounted.map(({ raw }) => raw.entryId));
  let released = [...kept.keys()].filter((id) => !stillKept.has(id));
  for (let more = true; more; ) {
    const begunAt = performance.now();
    const page = await readStandings(billing, shard, `(${mark}`, "+", PAGE);
    const onItsWay = page.entries.findIndex(({ standing }) => standing === "pending" || standing === "unread");
    const passed = onItsWay < 0 ? page.entries : page.entries.slice(0, onItsWay);
    const found = passed.filter(isUnaccounted);
    // What an earlier pass already kept as unaccounted was never proven: it is met again where that pass died between the stores.
    const gone = found.filter(({ raw }) => !isLater(raw.entryId, inRedis) && !kept.has(raw.entryId));
    if (gone.length > 0) await alertWentBack(billing, shard, gone);
    const next = passed.at(-1)?.raw.entryId ?? mark;
    if (!(await moveMark(billing, shard, expected, next, found, released))) break; // another pass is ahead of this one
    unaccounted.push(...found.filter(({ raw }) => !stillKept.has(raw.entryId)));
    expected = next;
    mark = next;
    released = [];
    more = page.more && onItsWay < 0;
    await rest(performance.now() - begunAt);
  }
  return { shard, mark, unaccounted };
}

/** Brings every shard's mark up to date. */
export async function proveAll(billing: Billing): Promise<Proof[]> {
  const proofs: Proof[] = [];
  for (let shard = 0; shard < billing.numShards; shard++) proofs.push(await proveShard(billing, shard));
  return proofs;
}

function isUnaccounted({ standing }: StandingEntry): boolean {
  return standing === "unaccounted" || standing === "half_settled";
}

async function recheck(billing: Billing, shard: number, kept: ReadonlyMap<string, string>): Promise<StandingEntry[]> {
  if (kept.size === 0) return [];
  return (await readStandingsOf(billing, shard, [...kept.keys()])).filter(isUnaccounted);
}

/** What was proven once is no longer in the books: Postgres was restored from an older copy. */
async function alertWentBack(billing: Billing, shard: number, gone: readonly StandingEntry[]): Promise<void> {
  const alert = {
    level: "critical" as const,
    kind: "postgres_went_back",
    key: `shard ${shard}`,
    message:
      "Entries that were settled are not in Postgres any more: it was restored from an older copy. Replay the unaccounted entries.",
    details: { shard, entries: gone.length, first: gone[0]?.raw.entryId, last: gone.at(-1)?.raw.entryId },
  };
  await fromBooks(openAlert(billing.db, alert));
}

async function moveMark(
  billing: Billing,
  shard: number,
  expected: string,
  next: string,
  found: readonly StandingEntry[],
  released: readonly string[],
): Promise<boolean> {
  const keys = [epochKey(shard), provenKey(shard), unaccountedKey(shard)];
  const pairs = found.flatMap(({ raw, entry }) => [raw.entryId, entry?.accountId ?? ""]);
  const token = await billing.fence.token(shard);
  const [word] = replyArray(
    await runScript(billing.redis, script, keys, [token, expected, next, String(found.length), ...pairs, ...released]),
  );
  if (word === "fenced") await billing.fence.verify(shard);
  if (word !== "moved") return false;
  await billing.query("UPDATE data.shard SET proven = $2 WHERE shard = $1", [shard, next]);
  return true;
}
