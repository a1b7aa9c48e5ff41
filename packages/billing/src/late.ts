// Entries in hand when Redis loses them: a worker has read them, and before they are in the books the stream, the accounts and all the
// rest are gone. An account loaded again by then would know nothing of them and could spend their amount a second time.
//
// Every transaction that writes entries into the books keeps their shards in their epochs until it ends (a shared lock; the fence takes
// it exclusively to give a shard its next epoch). So either the books have the entries before any account can be loaded again; or the
// transaction sees that the shard has another epoch than when the entry was read. Then the entry's account is taken out of Redis,
// and the shard stays shut, until the entry is in the books: the next load counts it.
import type { Billing } from "./billing.ts";
import { balanceKey, streamKey } from "./keys.ts";
import { inTransaction, type Query } from "./postgres.ts";
import type { AccountType, Position } from "./stream.ts";

/** Entries that were read from streams, and the account in Redis that one was drawn from, null for none. */
export type InHand<E extends Position> = { entries: readonly E[]; accountOf: (entry: E) => string | null };

class OlderEpoch extends Error {}

/**
 * Runs `write` in a transaction that ends before any account these entries were drawn from is loaded from older books. Entries without an
 * epoch were not read from a stream and are let through: a load counts them as what they are. `write` may run twice; `onCommit` is called
 * at once when its transaction is over. Throws what it throws, what is unreachable, and `fenced` when a shard loses its memory once
 * more meanwhile.
 */
export async function writeInEpoch<T, E extends Position>(
  billing: Billing,
  inHand: InHand<E>,
  write: (query: Query) => Promise<T>,
  onCommit: () => void = () => {},
): Promise<T> {
  const found = new Set<number>();
  for (const { shard, epoch } of inHand.entries) if (epoch !== undefined) found.add(shard);
  const shards = [...found].toSorted((a, b) => a - b);
  const commit = async (begin: string, work: (query: Query) => Promise<T>) => {
    const written = await inTransaction(billing.db, begin, work);
    onCommit();
    return written;
  };
  try {
    return await commit(billing.fence.beginInEpoch(shards), async (query) => {
      if (shards.length > 0) await refuseOlder(query, shards, inHand.entries);
      return await write(query);
    });
  } catch (error) {
    if (!(error instanceof OlderEpoch)) throw error;
  }
  const findLost = () => findLostAccounts(billing, inHand);
  return await billing.fence.shut(shards, findLost, () => commit("BEGIN", write));
}

async function refuseOlder(query: Query, shards: readonly number[], entries: readonly Position[]): Promise<void> {
  const sql = "SELECT shard, epoch FROM data.shard WHERE shard = ANY($1)";
  const rows = await query<{ shard: number; epoch: string }>(sql, [shards]);
  const epochs = new Map(rows.map((row) => [row.shard, BigInt(row.epoch)]));
  for (const { shard, epoch } of entries)
    if (epoch !== undefined && (epochs.get(shard) ?? 0n) > epoch) throw new OlderEpoch();
}

/** The keys of the accounts whose entries are no longer in their streams, by shard. After a mere restart all of them still are. */
async function findLostAccounts<E extends Position>(
  billing: Billing,
  { entries, accountOf }: InHand<E>,
): Promise<Map<number, string[]>> {
  const lost = new Map<string, number>();
  await Promise.all(
    entries.map(async (entry) => {
      const { shard, entryId, epoch } = entry;
      const accountId = accountOf(entry);
      if (epoch === undefined || accountId === null) return;
      const found = await billing.ask((redis) => redis.xrange(streamKey(shard), entryId, entryId));
      if (found.length === 0) lost.set(accountId.toLowerCase(), shard);
    }),
  );
  const rows = await billing.query<{ id: string; owner_id: string; type: AccountType }>(
    `SELECT id, coalesce(owner_userid, owner_tenantid) AS owner_id, CASE WHEN owner_userid IS NULL THEN 'tenant' ELSE 'user' END AS type
       FROM data.account_balance WHERE id::text = ANY($1)`,
    [[...lost.keys()]],
  );
  const keys = rows.flatMap(({ id, owner_id, type }) => {
    const shard = lost.get(id);
    return shard === undefined ? [] : [{ shard, key: balanceKey(shard, type, owner_id) }];
  });
  return new Map(
    [...Map.groupBy(keys, ({ shard }) => shard)].map(([shard, group]) => [shard, group.map(({ key }) => key)]),
  );
}
