// Reading both stores so that they can be compared to the nano while traffic flows. The order is the proof: an account's hash
// first (its seq is s), then the stream (every entry up to s was appended before the hash showed s), then one Postgres snapshot
// (whatever was settled or dead-lettered out of the stream meanwhile is in it). Links after s are newer than the question.
import type { Billing } from "./billing.ts";
import { BillingError } from "./errors.ts";
import { balanceKey, balancePattern, epochKey, ownerOfBalanceKey, shardOf } from "./keys.ts";
import { type OpenEntries, type OpenLink, readUnsettled } from "./open-entries.ts";
import { inTransaction, type Query } from "./postgres.ts";
import { redisServers } from "./redis.ts";
import { type AccountType, isUuid } from "./stream.ts";

/** Where an account's hash stands. */
export type Place = { shard: number; type: AccountType; ownerId: string };

/** An account's hash as it was read. `raw` is the text of balance, debits, seq and version, for a compare-and-set. */
export type Hash =
  | { state: "absent" }
  | { state: "unreadable"; raw: (string | null)[] }
  | {
      state: "loaded";
      raw: string[];
      balanceNanos: bigint;
      debitsNanos: bigint;
      seq: bigint;
      version: bigint;
      limitNanos: bigint;
      status: string;
      currency: string;
    };

export type Reading<P extends Place = Place> = { place: P; hash: Hash };

const HASHES_AT_ONCE = 5_000;
const KEYS_AT_ONCE = 1_000;
const MAX_TRIES = 5;
const whole = /^-?\d{1,19}$/;

export function placeOf(account: { id: string; type: AccountType; ownerId: string }, numShards: number): Place {
  return { shard: shardOf(account.id, numShards), type: account.type, ownerId: account.ownerId };
}

/** What one comparison is given: the snapshot's query, the hashes, and what was open in the streams. */
export type Comparison<P extends Place> = {
  query: Query;
  readings: Reading<P>[];
  /** Everything of these accounts that is not settled in the snapshot. Without ids: of every account with an open entry. */
  unsettled: (accountIds: readonly string[], options?: { alsoOthers: boolean }) => Promise<OpenLink[]>;
  /** Which of these accounts are, read again now, still behind the seq that Postgres has: Redis lost something. */
  behind: (places: readonly { place: P; seq: bigint }[]) => Promise<Set<P>>;
};

/**
 * Reads the hashes of `places`, then the open entries of `shards`, then compares in one snapshot. When Redis was fenced in between it
 * starts again. Throws what is unreachable, `fenced` when Redis does not come to rest.
 */
export async function compare<P extends Place, T>(
  billing: Billing,
  open: OpenEntries,
  places: readonly P[],
  shards: readonly number[],
  judge: (comparison: Comparison<P>) => Promise<T>,
): Promise<T> {
  for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
    const tokens = await Promise.all(shards.map((shard) => billing.fence.token(shard)));
    const readings = await readHashes(billing, places);
    await open.advance(shards);
    const result = await inTransaction(billing.db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", (query) =>
      judge({
        query,
        readings,
        unsettled: (accountIds, options) => readUnsettled(query, open, shards, accountIds, options),
        behind: (asked) => stillBehind(billing, asked),
      }),
    );
    const now = await Promise.all(shards.map((shard) => billing.ask((redis) => redis.get(epochKey(shard)))));
    const moved = shards.filter((_, i) => now[i] !== tokens[i]);
    if (moved.length === 0) return result;
    open.forget(moved);
    for (const shard of moved) await billing.fence.verify(shard);
  }
  throw new BillingError("fenced", "The balance store is being checked after a restart.");
}

async function readHashes<P extends Place>(billing: Billing, places: readonly P[]): Promise<Reading<P>[]> {
  const readings: Reading<P>[] = [];
  for (let at = 0; at < places.length; at += HASHES_AT_ONCE) {
    const some = places.slice(at, at + HASHES_AT_ONCE);
    const hashes = await Promise.all(some.map((place) => readHash(billing, place)));
    some.forEach((place, i) => readings.push({ place, hash: hashes[i] ?? { state: "absent" } }));
  }
  return readings;
}

async function readHash(billing: Billing, { shard, type, ownerId }: Place): Promise<Hash> {
  const fields = await billing.ask((redis) =>
    redis.hmget(balanceKey(shard, type, ownerId), "b", "d", "q", "v", "l", "s", "c").catch(notAHash),
  );
  if (fields === undefined) return { state: "unreadable", raw: [] };
  if (fields.every((field) => field === null)) return { state: "absent" };
  const [b, d, q, v, l, status, currency] = fields.map((field) => field ?? "");
  const numbers = [b, d, q, v, l].map((text) => (whole.test(text ?? "") ? BigInt(text ?? "") : undefined));
  const [balanceNanos, debitsNanos, seq, version, limitNanos] = numbers;
  if (
    balanceNanos === undefined ||
    debitsNanos === undefined ||
    seq === undefined ||
    version === undefined ||
    limitNanos === undefined
  )
    return { state: "unreadable", raw: fields.slice(0, 4) };
  const raw = fields.slice(0, 4).map((field) => field ?? "");
  return {
    state: "loaded",
    raw,
    balanceNanos,
    debitsNanos,
    seq,
    version,
    limitNanos,
    status: status ?? "",
    currency: currency ?? "",
  };
}

function notAHash(error: unknown): undefined {
  if (error instanceof Error && error.message.startsWith("WRONGTYPE")) return undefined;
  throw error;
}

/** A settled link was drawn in Redis before it was settled: a hash that is read after the snapshot and is behind it lost something. */
async function stillBehind<P extends Place>(
  billing: Billing,
  asked: readonly { place: P; seq: bigint }[],
): Promise<Set<P>> {
  const behind = new Set<P>();
  const again = await readHashes(
    billing,
    asked.map(({ place }) => place),
  );
  asked.forEach(({ place, seq }, i) => {
    const hash = again[i]?.hash;
    if (hash?.state === "loaded" && hash.seq < seq) behind.add(place);
  });
  return behind;
}

/**
 * Every account that is loaded, by one pass over the keys of each server, and the keys that look like an account's and are not. A key
 * that is there for the whole pass is seen; memory is that of an owner's id for each.
 */
export async function scanPlaces(
  billing: Billing,
): Promise<{ places: Place[]; strange: { shard: number; key: string }[] }> {
  const places = new Map<string, Place>();
  const strange = new Map<string, { shard: number; key: string }>();
  for (const server of redisServers(billing.redis))
    for (let cursor = "0", started = false; !started || cursor !== "0"; started = true) {
      const [next, keys] = await billing.ask(() =>
        server.scan(cursor, "MATCH", balancePattern(), "COUNT", KEYS_AT_ONCE),
      );
      cursor = next;
      for (const key of keys) {
        const place = ownerOfBalanceKey(key);
        if (place && place.shard < billing.numShards && isUuid(place.ownerId)) places.set(key, place);
        else strange.set(key, { shard: place?.shard ?? 0, key });
      }
    }
  return { places: [...places.values()], strange: [...strange.values()] };
}
