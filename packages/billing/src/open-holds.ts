// How much is set aside at this moment, over all accounts: from each shard's list of accounts with holds, not from the accounts.
import type { Billing } from "./billing.ts";
import { balanceKey, holdsDueKey, holdsKey } from "./keys.ts";
import { formatUnits } from "./money.ts";

/** `held` by currency, in units with 9 decimals. Not `exact`: some shard has more accounts with holds than are asked; there are more. */
export type OpenHolds = {
  holds: number;
  accounts: number;
  held: { currency: string; amount: string }[];
  exact: boolean;
};

const ACCOUNTS_MAX = 500;

/** Reads what is set aside; holds that expired and were not swept yet are among it. Throws `redis_unavailable`. */
export async function readOpenHolds(billing: Billing): Promise<OpenHolds> {
  const shards = Array.from({ length: billing.numShards }, (_, shard) => shard);
  const read = await Promise.all(shards.map((shard) => readShard(billing, shard)));
  const heldNanos = new Map<string, bigint>();
  for (const { accounts } of read)
    for (const { currency, nanos } of accounts) heldNanos.set(currency, (heldNanos.get(currency) ?? 0n) + nanos);
  return {
    holds: read.reduce((sum, { accounts }) => sum + accounts.reduce((all, { holds }) => all + holds, 0), 0),
    accounts: read.reduce((sum, { known }) => sum + known, 0),
    held: [...heldNanos]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([currency, nanos]) => ({ currency, amount: formatUnits(nanos) })),
    exact: read.every(({ known, accounts }) => known === accounts.length),
  };
}

type Held = { holds: number; currency: string; nanos: bigint };

async function readShard(billing: Billing, shard: number): Promise<{ known: number; accounts: Held[] }> {
  const key = holdsDueKey(shard);
  const members = await billing.ask((redis) => redis.zrange(key, 0, `${ACCOUNTS_MAX - 1}`));
  const accounts = await Promise.all(
    members.map(async (member): Promise<Held> => {
      const [type = "", ownerId = "", accountId = ""] = member.split(":");
      const holds = await billing.ask((redis) => redis.hlen(holdsKey(shard, accountId)));
      const [held, currency] = await billing.ask((redis) => redis.hmget(balanceKey(shard, type, ownerId), "h", "c"));
      return { holds, currency: currency ?? "", nanos: BigInt(held ?? 0) };
    }),
  );
  const known = members.length < ACCOUNTS_MAX ? members.length : await billing.ask((redis) => redis.zcard(key));
  return { known, accounts };
}
