// The backlog that workers settle: charges of some accounts in the streams, and the wait until all of it is in the books.
import { setTimeout as sleep } from "node:timers/promises";
import { type AccountRef, type Billing, type ChargeRequest, chargeMany } from "@drawdown/billing";
import { chargeOf } from "./charge-requests.ts";

const CHARGED_AT_ONCE = 2_000;

let next = 0;

/** A charge of the next account. One that follows is of another shard, as likely as not. */
export function nextCharge(accounts: readonly AccountRef[]): ChargeRequest {
  next += 1;
  const account = accounts[(next * 7_919) % accounts.length];
  if (account === undefined) throw new Error("there is no account");
  return chargeOf(account, `8${next.toString().padStart(11, "0")}`);
}

/** Throws when one is not charged. */
export async function fill(billing: Billing, accounts: readonly AccountRef[], rows: number): Promise<void> {
  for (let left = rows; left > 0; left -= CHARGED_AT_ONCE) {
    const charges = Array.from({ length: Math.min(left, CHARGED_AT_ONCE) }, () => nextCharge(accounts));
    const other = (await chargeMany(billing, charges)).find(({ outcome }) => outcome !== "charged");
    if (other) throw new Error(`a charge was ${other.outcome}`);
  }
}

/** Until every entry is acked. */
export async function drained(billing: Billing): Promise<void> {
  const isOpen = async (shard: number) => {
    const [group = []] = (await billing.redis.xinfo("GROUPS", `stream:deductions:${shard}`)) as unknown[][];
    const count = (name: string) => group[group.indexOf(name) + 1];
    return count("pending") !== 0 || count("lag") !== 0;
  };
  const shards = Array.from({ length: billing.numShards }, (_, shard) => shard);
  const left = async () => (await Promise.all(shards.map(isOpen))).includes(true);
  while (await left()) await sleep(20);
}
