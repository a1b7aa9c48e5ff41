/** `drawdown refusals`: why requests of an account were refused with 402, with the figures of that moment. */
import { findAccount, listRefusals, type RefusalRow } from "@drawdown/db";
import { Problem } from "../problem.ts";
import { withDatabase } from "../stores.ts";
import { print, printJson } from "./output.ts";

export async function refusalsCommand(options: { account: string; since?: Date; json: boolean }): Promise<void> {
  await withDatabase(async (db) => {
    const account = await findAccount(db, options.account);
    if (account === undefined) throw new Problem(`No account has the id, or an owner with the id, ${options.account}.`);
    const refusals = await listRefusals(db, account.id, options.since === undefined ? {} : { since: options.since });
    if (options.json) return printJson({ account_balance_id: account.id, refusals: refusals.map(refusalJson) });
    if (refusals.length === 0) return print("Nothing of it was refused for want of money, as far as is kept.");
    print(refusals.map(explain).join("\n\n"));
  });
}

/** As it stands in `drawdown trace --json` too. */
export function refusalJson(row: RefusalRow) {
  return {
    at: row.createdAt,
    request_id: row.requestId,
    virtual_key: row.virtualKey,
    code: row.code,
    provider: row.provider,
    model: row.model,
    currency: row.currency,
    balance: row.balance,
    held: row.held,
    credit_limit: row.creditLimit,
    required: row.required,
    spend_limit: row.spendLimit,
    spend_period: row.spendPeriod,
    spent: row.spent,
    reserved: row.reserved,
    price: row.price,
    estimate: row.estimate,
  };
}

/** Why, in words. */
export function explain(row: RefusalRow): string {
  const asked = `${row.createdAt.toISOString()}  ${row.requestId}  ${row.provider}/${row.model} with ${row.virtualKey}`;
  const estimate = Object.entries(row.estimate ?? {}).map(([name, value]) => `${name}=${String(value)}`);
  const required = `${row.required} ${row.currency} may be needed${estimate.length === 0 ? "" : ` (${estimate.join(" ")})`}`;
  const why =
    row.code === "spend_limit"
      ? `the key's limit is ${row.spendLimit} a ${row.spendPeriod}, ${row.spent} was spent and ${row.reserved} set aside`
      : `the balance was ${row.balance}, ${row.held} of it held, with a credit limit of ${row.creditLimit}`;
  return `${asked}\n  ${row.code}: ${required}; ${why}`;
}
