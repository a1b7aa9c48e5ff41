// Freezing an account, and its credit limit: a column of its row, and the act beside it in the same transaction. The row's trigger gives
// the change its version, its audit row and its notification; Redis hears of it within a second, as of a credit.
import type { AccountCredits } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import { BillingError } from "./errors.ts";
import { formatUnits } from "./money.ts";
import { type Act, actOnce, checkAct, ONE_APPLIED, recordAct } from "./operations.ts";
import { constraintOf, type Query, sqlState } from "./postgres.ts";
import { isUuid } from "./stream.ts";

/** What Postgres has of an account; amounts are decimal text of units. */
export type AccountSettings = Pick<
  AccountCredits,
  "id" | "ownerId" | "type" | "currency" | "status" | "creditLimit" | "balance" | "overdueAmount" | "creditsVersion"
>;

export type AccountActOutcome =
  /** `repeated`: this very act was done before. `unchanged`: it was so already, and nothing is on record. */
  | { outcome: "changed" | "repeated" | "unchanged"; operationId: string | null; account: AccountSettings }
  | { outcome: "unknown_account" }
  | { outcome: "refused"; reason: "too_much"; message: string };

/** From now on new holds and charges are refused with `account_frozen`; open holds are captured, credits go on. By the account's id. */
export async function freezeAccount(
  billing: Pick<Billing, "db">,
  accountId: string,
  act: Act,
): Promise<AccountActOutcome> {
  return await change(billing, accountId, act, { action: "freeze", column: "status", value: "frozen" });
}

export async function unfreezeAccount(
  billing: Pick<Billing, "db">,
  accountId: string,
  act: Act,
): Promise<AccountActOutcome> {
  return await change(billing, accountId, act, { action: "unfreeze", column: "status", value: "active" });
}

/**
 * How far below zero the account may go. Throws `invalid_amount` below zero, `invalid_request` without actor or reason,
 * `postgres_unavailable`.
 */
export async function setCreditLimit(
  billing: Pick<Billing, "db">,
  accountId: string,
  limitNanos: bigint,
  act: Act,
): Promise<AccountActOutcome> {
  if (limitNanos < 0n) throw new BillingError("invalid_amount", "A credit limit is not below zero.");
  const value = formatUnits(limitNanos);
  return await change(billing, accountId, act, { action: "credit_limit", column: "credit_limit", value });
}

const NUMERIC_OVERFLOW = "22003";

type Change = {
  action: "freeze" | "unfreeze" | "credit_limit";
  column: "status" | "credit_limit";
  value: string;
};

async function change(
  billing: Pick<Billing, "db">,
  accountId: string,
  act: Act,
  wanted: Change,
): Promise<AccountActOutcome> {
  checkAct(act);
  if (!isUuid(accountId)) return { outcome: "unknown_account" };
  try {
    return await actOnce(
      billing,
      act,
      wanted.action,
      (query, once) => changeOnce(query, accountId, once, wanted),
      async (query, { id, result }) => {
        const account = await readSettings(query, (result as { account_id: string }).account_id);
        return account ? { outcome: "repeated", operationId: id, account } : { outcome: "unknown_account" };
      },
    );
  } catch (error) {
    if (constraintOf(error) === undefined && sqlState(error) !== NUMERIC_OVERFLOW) throw error;
    const message = "More than an account can hold: what was paid in and the limit stay below 9,200,000,000 together.";
    return { outcome: "refused", reason: "too_much", message };
  }
}

async function changeOnce(
  query: Query,
  accountId: string,
  act: Required<Act>,
  { action, column, value }: Change,
): Promise<AccountActOutcome> {
  const found = await readSettings(query, accountId, "FOR NO KEY UPDATE");
  if (!found) return { outcome: "unknown_account" };
  const of = (account: AccountSettings) => ({
    [column]: column === "status" ? account.status : account.creditLimit,
  });
  const before = of(found);
  if (before[column] === value) return { outcome: "unchanged", operationId: null, account: found };
  // The trigger's audit row says what changed, who did it and why.
  const said = `${column.replace("_", " ")} ${before[column]} -> ${value}: ${act.reason}`;
  await query("SELECT set_config('drawdown.reason', $1, true), set_config('drawdown.actor', $2, true)", [
    said,
    act.actor,
  ]);
  await query(`UPDATE data.account_balance SET ${column} = $2 WHERE id = $1`, [accountId, value]);
  const account = await readSettings(query, accountId);
  if (!account) throw new Error("an account that is locked is gone");
  const after = of(account);
  const result = { account_id: accountId, ...after };
  const done = { action, targets: [accountId], counts: ONE_APPLIED, before, after, result };
  return { outcome: "changed", operationId: await recordAct(query, act, done), account };
}

async function readSettings(query: Query, accountId: string, lock = ""): Promise<AccountSettings | undefined> {
  const [row] = await query<Omit<AccountSettings, "creditsVersion"> & { creditsVersion: string }>(
    `SELECT a.id, coalesce(a.owner_userid, a.owner_tenantid) AS "ownerId", a.currency, a.status, a.balance,
            CASE WHEN a.owner_tenantid IS NULL THEN 'user' ELSE 'tenant' END AS type, a.credit_limit AS "creditLimit",
            a.overdue_amount AS "overdueAmount", a.credits_version AS "creditsVersion"
       FROM data.account_balance a WHERE a.id = $1 ${lock}`,
    [accountId],
  );
  return row && { ...row, creditsVersion: BigInt(row.creditsVersion) };
}
