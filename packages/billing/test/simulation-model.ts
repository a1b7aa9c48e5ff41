// The simplest possible account: what was credited, and what was charged. Both stores and the chain must agree with it.
import { type AccountRef, formatUnits, peekBalance } from "../src/index.ts";
import { chainProblems, type Stage } from "./stage.ts";

/** In nanos; `charges` are our deductions, `older` those of older producers, whose costs lower the credits. */
export type Model = { account: AccountRef; creditsNanos: bigint; chargedNanos: bigint; charges: number; older: number };

/** What an older producer drew lowers the balance, and is no debit of ours. */
export function olderCharge(model: Model, nanos: bigint): void {
  model.creditsNanos -= nanos;
  model.older++;
}

/** How an account at rest differs from its model, in words; empty when it does not. */
export async function compare(
  stage: Stage,
  { account, creditsNanos, chargedNanos, charges, older }: Model,
): Promise<string[]> {
  const expected = formatUnits(creditsNanos - chargedNanos);
  const redis = formatUnits((await peekBalance(stage.billing, account))?.balanceNanos ?? -1n);
  const [books] = await stage.query<{ balance: string; total_debits: string; rows: number }>(
    `SELECT a.balance, a.total_debits, (SELECT count(*) FROM data.usage_log u WHERE u.account_id = a.id AND settled_at IS NOT NULL)::int AS rows
       FROM data.account_balance a WHERE a.id = $1`,
    [account.id],
  );
  const problems = await chainProblems(stage, account);
  if (redis !== expected) problems.push(`Redis has ${redis}, the model ${expected}`);
  if (books?.balance !== expected) problems.push(`Postgres has ${books?.balance}, the model ${expected}`);
  if (books?.total_debits !== formatUnits(chargedNanos))
    problems.push(`debits ${books?.total_debits}, the model ${formatUnits(chargedNanos)}`);
  if (books?.rows !== charges + older) problems.push(`${books?.rows} rows, the model ${charges + older}`);
  return problems.map((problem) => `account ${account.id}: ${problem}`);
}
