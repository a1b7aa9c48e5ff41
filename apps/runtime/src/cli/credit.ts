/** `drawdown credit`: gives an account an amount, on record as an act. Redis has it within a second, through the running worker and gateways. */
import { type CreditToGive, giveCredit, parseUnits } from "@drawdown/billing";
import { findAccount } from "@drawdown/db";
import { Problem } from "../problem.ts";
import { withDatabase } from "../stores.ts";
import { type ActOptions, actOf } from "./act.ts";
import { print, printJson } from "./output.ts";

export type CreditOptions = ActOptions & { category: CreditToGive["category"]; reference?: string };

export async function creditCommand(id: string, amount: string, options: CreditOptions): Promise<void> {
  const act = actOf(options);
  const amountNanos = parseUnits(amount);
  await withDatabase(async (db) => {
    const account = await findAccount(db, id);
    if (account === undefined) throw new Problem(`No account has the id, or an owner with the id, ${id}.`);
    const { category, reference } = options;
    const credit = { accountId: account.id, amountNanos, category, ...(reference === undefined ? {} : { reference }) };
    const outcome = await giveCredit({ db }, credit, act);
    if (outcome.outcome === "refused") throw new Problem(`The credit was refused: ${outcome.message}.`);
    if (!options.json)
      return print(
        `${outcome.amount} ${account.currency} (${outcome.category}) on record; settled balance ${outcome.balance}.`,
      );
    printJson({
      operation_id: outcome.operationId,
      audit_id: outcome.auditId,
      account_balance_id: outcome.accountId,
      amount: outcome.amount,
      category: outcome.category,
      credits_version: outcome.creditsVersion,
      reference: outcome.reference,
      created_at: outcome.createdAt,
      total_credits: outcome.totalCredits,
      balance: outcome.balance,
    });
  });
}
