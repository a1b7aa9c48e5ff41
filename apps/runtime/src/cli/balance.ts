/** `drawdown balance`: what Redis says beside what Postgres says, and what explains the difference. */
import { type Balance, formatUnits, parseUnits, peekBalance } from "@drawdown/billing";
import { findAccount } from "@drawdown/db";
import { Problem } from "../problem.ts";
import { withBilling } from "../stores.ts";
import { printJson, printPairs } from "./output.ts";

export async function balanceCommand(id: string, options: { json: boolean }): Promise<void> {
  await withBilling(async (billing, db) => {
    // Postgres first: what settles between the two readings then counts as in flight, and never as less than nothing.
    const account = await findAccount(db, id);
    if (account === undefined) throw new Problem(`No account has the id, or an owner with the id, ${id}.`);
    const redis = await peekBalance(billing, account);
    const answer = {
      account_balance_id: account.id,
      owner_id: account.ownerId,
      account_type: account.type,
      currency: account.currency,
      status: account.status,
      redis: redis === undefined ? null : inRedis(redis),
      postgres: {
        balance: account.balance,
        total_credits: account.totalCredits,
        total_debits: account.totalDebits,
        overdue_amount: account.overdueAmount,
        credit_limit: account.creditLimit,
        credits_version: account.creditsVersion.toString(),
      },
      // While the account is not loaded this is not known, which is not the same as nothing.
      in_flight: redis === undefined ? null : formatUnits(redis.debitsNanos - parseUnits(account.totalDebits)),
    };
    if (options.json) return printJson(answer);
    printPairs([
      ["account", `${account.id} (${account.type} ${account.ownerId}, ${account.status})`],
      ["in Redis", redis === undefined ? "not loaded" : `${formatUnits(redis.balanceNanos)} ${account.currency}`],
      ["held", redis === undefined ? "-" : formatUnits(redis.heldNanos)],
      ["available", redis === undefined ? "-" : formatUnits(redis.availableNanos)],
      ["settled", `${account.balance} ${account.currency}`],
      ["in flight", answer.in_flight ?? "unknown"],
      ["credits", account.totalCredits],
      ["debits", account.totalDebits],
    ]);
  });
}

function inRedis(balance: Balance) {
  return {
    balance: formatUnits(balance.balanceNanos),
    held: formatUnits(balance.heldNanos),
    available: formatUnits(balance.availableNanos),
    seq: balance.seq.toString(),
    debits: formatUnits(balance.debitsNanos),
    credits_version: balance.creditsVersion.toString(),
    status: balance.status,
  };
}
