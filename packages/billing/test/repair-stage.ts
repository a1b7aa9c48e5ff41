// What tests of repairs share: accounts that are settled and proven, and where they stand in Redis.
import { type AccountRef, charge, proveAll, shardOf, streamKey } from "../src/index.ts";
import { aCharge, type Stage } from "./stage.ts";

export const UNIT = 1_000_000_000n;

export async function settleAllOf(stage: Stage): Promise<void> {
  const worker = stage.worker();
  await stage.drained();
  await worker.stop();
  await proveAll(stage.billing);
}

/** An account of 100 units with this many settled charges of one unit. */
export async function settledAccountOf(stage: Stage, charges = 5): Promise<AccountRef> {
  const account = await stage.account("100");
  for (let i = 0; i < charges; i++) await charge(stage.billing, aCharge(account, UNIT));
  await settleAllOf(stage);
  return account;
}

export const streamOf = (account: AccountRef) => streamKey(shardOf(account.id, 16));
export const balanceKeyOf = (account: AccountRef) =>
  `balance:{${streamOf(account)}}:${account.type}:${account.ownerId}`;
