// What an account may spend right now, as Redis has it.
import type { Billing } from "./billing.ts";
import { balanceKey, shardOf } from "./keys.ts";
import { loadAccount } from "./load.ts";
import type { AccountRef } from "./stream.ts";

export type Balance = {
  currency: string;
  balanceNanos: bigint;
  heldNanos: bigint;
  limitNanos: bigint;
  /** balance + limit − held */
  availableNanos: bigint;
  /** What is below zero beyond the limit. */
  overdueNanos: bigint;
  debitsNanos: bigint;
  seq: bigint;
  creditsVersion: bigint;
  status: string;
};

/** The balance in Redis; a cold account is loaded. Undefined when there is no such account. Throws `BillingError`. */
export async function readBalance(billing: Billing, account: AccountRef): Promise<Balance | undefined> {
  const loaded = await peekBalance(billing, account);
  if (loaded) return loaded;
  if (!(await loadAccount(billing, account))) return undefined;
  return await peekBalance(billing, account);
}

/** The balance in Redis, or undefined while the account is not loaded. Changes nothing. Throws `redis_unavailable`. */
export async function peekBalance(billing: Billing, account: AccountRef): Promise<Balance | undefined> {
  const key = balanceKey(shardOf(account.id, billing.numShards), account.type, account.ownerId);
  return parseBalance(await billing.ask((redis) => redis.hmget(key, ...BALANCE_FIELDS)));
}

/** The fields of an account's hash, as `parseBalance` takes them. */
export const BALANCE_FIELDS = ["b", "h", "d", "q", "v", "l", "s", "c"] as const;

export function parseBalance(fields: readonly (string | null)[]): Balance | undefined {
  const [b, h, d, q, v, l, status, currency] = fields;
  if (b == null) return undefined;
  const [balanceNanos, heldNanos, limitNanos] = [BigInt(b), BigInt(h ?? 0), BigInt(l ?? 0)];
  const short = -(balanceNanos + limitNanos);
  return {
    currency: currency ?? "",
    balanceNanos,
    heldNanos,
    limitNanos,
    availableNanos: balanceNanos + limitNanos - heldNanos,
    overdueNanos: short > 0n ? short : 0n,
    debitsNanos: BigInt(d ?? 0),
    seq: BigInt(q ?? 0),
    creditsVersion: BigInt(v ?? 0),
    status: status ?? "",
  };
}
