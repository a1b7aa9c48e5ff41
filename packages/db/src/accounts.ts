// What Postgres owns of an account: its credits, limit and status. Amounts are strings of 9 decimals.

import type { Db } from "./connect.ts";
import type { accountBalanceAudit } from "./schema.ts";

export type AccountCredits = {
  id: string;
  /** The user's or tenant's id. */
  ownerId: string;
  type: "user" | "tenant";
  currency: string;
  /** The settled balance. */
  balance: string;
  totalDebits: string;
  totalCredits: string;
  creditLimit: string;
  overdueAmount: string;
  creditsVersion: bigint;
  status: "active" | "frozen";
};

const accountColumns = `
  a.id, coalesce(a.owner_userid, a.owner_tenantid) AS "ownerId",
  CASE WHEN a.owner_tenantid IS NULL THEN 'user' ELSE 'tenant' END AS type, a.currency, a.balance,
  a.total_debits AS "totalDebits", a.total_credits AS "totalCredits", a.credit_limit AS "creditLimit",
  a.overdue_amount AS "overdueAmount", a.credits_version AS "creditsVersion", a.status`;

type AccountRow = Omit<AccountCredits, "creditsVersion"> & { creditsVersion: string };
const read = (row: AccountRow): AccountCredits => ({ ...row, creditsVersion: BigInt(row.creditsVersion) });
const uuidShape = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Text that Postgres would refuse as a uuid finds nothing, rather than failing. */
export function isUuid(text: string): boolean {
  return uuidShape.test(text);
}

/** By account id or owner id. Undefined for what is neither, text that is no uuid included. */
export async function findAccount(db: Db, accountOrOwnerId: string): Promise<AccountCredits | undefined> {
  if (!isUuid(accountOrOwnerId)) return undefined;
  const { rows } = await db.$client.query<AccountRow>({
    name: "find_account",
    text: `SELECT ${accountColumns} FROM data.account_balance a
           WHERE a.id = $1 OR a.owner_userid = $1 OR a.owner_tenantid = $1
           ORDER BY a.id = $1 DESC LIMIT 1`,
    values: [accountOrOwnerId],
  });
  return rows[0] && read(rows[0]);
}

/** The accounts of these ids (account ids alone), in no order; unknown ids are absent. */
export async function readCredits(db: Db, accountIds: readonly string[]): Promise<AccountCredits[]> {
  const { rows } = await db.$client.query<AccountRow>({
    name: "read_credits",
    text: `SELECT ${accountColumns} FROM data.account_balance a WHERE a.id = ANY($1::uuid[])`,
    values: [accountIds.filter(isUuid)],
  });
  return rows.map(read);
}

/**
 * Accounts with a credit, limit or status that Redis has not acknowledged (`applied_at IS NULL`), a page by id: pass the
 * last id of the page before.
 */
export async function findUnapplied(db: Db, limit: number, afterId?: string): Promise<AccountCredits[]> {
  const { rows } = await db.$client.query<AccountRow>({
    name: "find_unapplied",
    // From the rows that are not applied, a handful, to their accounts: never over all accounts.
    text: `WITH waiting AS (
             SELECT DISTINCT account_id FROM data.account_balance_audit
             WHERE applied_at IS NULL AND credits_version IS NOT NULL AND account_id > $2 ORDER BY account_id LIMIT $1)
           SELECT ${accountColumns} FROM waiting w JOIN data.account_balance a ON a.id = w.account_id ORDER BY a.id`,
    values: [limit, afterId ?? "00000000-0000-0000-0000-000000000000"],
  });
  return rows.map(read);
}

export type Credit = {
  accountId: string;
  /** Decimal string, at most 9 decimals, not zero; negative only for an adjustment. */
  amount: string;
  category: "top_up" | "refund" | "adjustment";
  /** Makes it idempotent: a second call with it returns the first row. */
  reference?: string;
  reason: string;
  actor: string;
};

export type AuditRow = Pick<
  typeof accountBalanceAudit.$inferSelect,
  "id" | "accountId" | "amount" | "auditCategory" | "creditsVersion" | "appliedAt" | "reference" | "createdAt"
>;

/**
 * data.post_credit. Throws the server's error with SQLSTATE in `code`: DD001 reference_conflict, DD002 unknown_account,
 * DD003 invalid_amount, DD004 invalid_credit, 23514 more than an account can hold.
 */
export async function postCredit(db: Db, credit: Credit): Promise<AuditRow> {
  const { rows } = await db.$client.query<
    Omit<AuditRow, "id" | "creditsVersion"> & { id: string; creditsVersion: string }
  >(
    `SELECT id, account_id AS "accountId", amount, audit_category AS "auditCategory", credits_version AS "creditsVersion",
            applied_at AS "appliedAt", reference, created_at AS "createdAt"
     FROM data.post_credit($1, $2, $3, $4, $5, $6)`,
    [credit.accountId, credit.amount, credit.category, credit.reference ?? null, credit.reason, credit.actor],
  );
  const [row] = rows;
  if (row === undefined) throw new Error("data.post_credit returned no row");
  return { ...row, id: BigInt(row.id), creditsVersion: BigInt(row.creditsVersion) };
}
