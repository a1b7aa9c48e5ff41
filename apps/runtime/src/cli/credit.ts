/** `drawdown credit`: data.post_credit for people. Redis has it within a second, through the running worker and gateways. */
import { formatUnits, parseUnits } from "@drawdown/billing";
import { type Credit, findAccount, postCredit } from "@drawdown/db";
import { Problem } from "../problem.ts";
import { withDatabase } from "../stores.ts";
import { print, printJson } from "./output.ts";

export type CreditOptions = {
  json: boolean;
  category: Credit["category"];
  reason: string;
  reference?: string;
  actor: string;
};

export async function creditCommand(id: string, amount: string, options: CreditOptions): Promise<void> {
  const units = formatUnits(parseUnits(amount));
  await withDatabase(async (db) => {
    const account = await findAccount(db, id);
    if (account === undefined) throw new Problem(`No account has the id, or an owner with the id, ${id}.`);
    const { category, reason, reference, actor } = options;
    const row = await postCredit(db, {
      accountId: account.id,
      amount: units,
      category,
      reason,
      actor,
      ...(reference === undefined ? {} : { reference }),
    }).catch((error: unknown) => {
      throw refusal(error);
    });
    const after = await findAccount(db, account.id);
    if (options.json) {
      return printJson({
        audit_id: row.id,
        account_balance_id: row.accountId,
        amount: row.amount,
        category: row.auditCategory,
        credits_version: row.creditsVersion,
        reference: row.reference,
        created_at: row.createdAt,
        total_credits: after?.totalCredits,
        balance: after?.balance,
      });
    }
    print(`${row.amount} ${account.currency} (${row.auditCategory}) on record; settled balance ${after?.balance}.`);
  });
}

/** What the database refuses for a reason that a person can act on. */
function refusal(error: unknown): unknown {
  const { code, message } = error as { code?: string; message?: string };
  const refused = code !== undefined && (/^DD00[1-4]$/.test(code) || code === "23514");
  return refused ? new Problem(`The credit was refused: ${message}.`, { cause: error }) : error;
}
