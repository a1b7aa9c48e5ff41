/** `drawdown freeze`, `unfreeze` and `credit-limit`: what an account may do. Redis has it within a second, through the running worker and gateways. */
import { type AccountActOutcome, freezeAccount, parseUnits, setCreditLimit, unfreezeAccount } from "@drawdown/billing";
import { Problem } from "../problem.ts";
import { withDatabase } from "../stores.ts";
import { accountOf } from "./accept.ts";
import { type ActOptions, actOf, beforeWords } from "./act.ts";
import { print, printJson } from "./output.ts";

export async function freezeCommand(name: "freeze" | "unfreeze", id: string, options: ActOptions): Promise<void> {
  const act = actOf(options);
  await withDatabase(async (db) => {
    const change = name === "freeze" ? freezeAccount : unfreezeAccount;
    report(await change({ db }, (await accountOf(db, id)).id, act), options.json);
  });
}

export async function creditLimitCommand(id: string, limit: string, options: ActOptions): Promise<void> {
  const act = actOf(options);
  const limitNanos = parseUnits(limit);
  await withDatabase(async (db) => {
    report(await setCreditLimit({ db }, (await accountOf(db, id)).id, limitNanos, act), options.json);
  });
}

function report(outcome: AccountActOutcome, json: boolean): void {
  if (outcome.outcome === "unknown_account") throw new Problem("The account is gone.");
  if (outcome.outcome === "refused") throw new Problem(outcome.message);
  const { account, operationId } = outcome;
  const said = outcome.outcome === "changed" ? "" : ` ${beforeWords[outcome.outcome]}`;
  if (!json) return print(`${account.id} is ${account.status}, credit limit ${account.creditLimit}.${said}`);
  printJson({
    operation_id: operationId,
    outcome: outcome.outcome,
    account_balance_id: account.id,
    owner_id: account.ownerId,
    account_type: account.type,
    currency: account.currency,
    status: account.status,
    credit_limit: account.creditLimit,
    balance: account.balance,
    credits_version: account.creditsVersion,
  });
}
