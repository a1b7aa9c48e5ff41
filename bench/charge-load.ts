// Charges through packages/billing in this process, on a stage with as many loaded accounts as asked for.
import { type Billing, charge, closeBilling, openBilling } from "@drawdown/billing";
import { setAccounts } from "@drawdown/billing/measured";
import { closeDb, connectDb } from "@drawdown/db";
import { accountAt, chargeOf, OPENING_NANOS } from "./charge-requests.ts";
import { openStack } from "./stack.ts";
import { inLanes } from "./statistics.ts";

export const ROUND_MS = 2_500;
/** In flight at a time. */
export const LANES = 256;
const SET_AT_ONCE = 1_000;

export async function openCharging(accounts: number) {
  // Its growing file would be rewritten at any moment, while one side or the other runs.
  const stack = await openStack({ redisArgs: ["--auto-aof-rewrite-percentage", "0"] });
  const db = connectDb(stack.databaseUrl);
  const billing = await openBilling({ redisUrl: stack.redisUrl, db });
  await addAccounts(billing, 0, accounts);
  const close = async () => {
    await closeBilling(billing);
    await closeDb(db);
    await stack.stop();
  };
  return { stack, billing, close };
}

/** Loads the accounts with these numbers. */
export async function addAccounts(billing: Billing, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += SET_AT_ONCE) {
    const some = Array.from({ length: Math.min(SET_AT_ONCE, to - at) }, (_, i) => accountAt(at + i));
    await setAccounts(billing, some, OPENING_NANOS);
  }
}

let next = 0;

/** The next charge, of an account that the one before did not have: all take turns, in no order that memory would like. */
export async function chargeNext(billing: Billing, accounts: number): Promise<void> {
  next += 1;
  const account = accountAt((next * 7_919) % accounts);
  const answer = await charge(billing, chargeOf(account, `9${next.toString().padStart(11, "0")}`));
  if (answer.outcome !== "charged") throw new Error(`a charge was ${answer.outcome}`);
}

/** Charges per second of a round, LANES in flight. */
export function chargeInLanes(billing: Billing, accounts: number): Promise<number> {
  return inLanes(LANES, ROUND_MS, () => chargeNext(billing, accounts));
}
