// An operator's credit: data.post_credit, with the act beside it in the same transaction. A business system that calls post_credit itself is
// on record by its audit row alone; what a person does has a role, and what it changed, too.
import type { Billing } from "./billing.ts";
import { formatUnits } from "./money.ts";
import { type Act, actOnce, ONE_APPLIED, recordAct } from "./operations.ts";
import { type Query, sqlState } from "./postgres.ts";

export type CreditToGive = {
  accountId: string;
  /** Not zero; below zero only as an adjustment. */
  amountNanos: bigint;
  category: "top_up" | "refund" | "adjustment";
  /** The credit's own id elsewhere: given again, nothing changes. */
  reference?: string;
};

/** Amounts in units, as they are in the books. */
export type GivenCredit = {
  outcome: "credited" | "repeated";
  /** Of the act that gave it; null when another way did. */
  operationId: string | null;
  auditId: string;
  accountId: string;
  amount: string;
  category: string;
  creditsVersion: bigint;
  reference: string | null;
  createdAt: Date;
  /** Of the account, now. */
  balance: string;
  totalCredits: string;
};

export type GiveCreditOutcome =
  | GivenCredit
  | {
      outcome: "refused";
      reason: "reference_conflict" | "unknown_account" | "invalid_amount" | "invalid_credit" | "too_much";
      message: string;
    };

const REFUSALS = {
  DD001: "reference_conflict",
  DD002: "unknown_account",
  DD003: "invalid_amount",
  DD004: "invalid_credit",
  "23514": "too_much",
} as const;

/**
 * Gives a credit; Redis has it within a second, through whoever listens. Asked for again with the same reference, or the same
 * `act.id`, it answers the first. Throws `invalid_request` without actor or reason, `postgres_unavailable`.
 */
export async function giveCredit(
  billing: Pick<Billing, "db">,
  credit: CreditToGive,
  act: Act,
): Promise<GiveCreditOutcome> {
  try {
    return await actOnce(
      billing,
      act,
      "credit",
      (query, once) => giveOnce(query, credit, once),
      async (query, { id, result }) => {
        const row = await readPosted(query, (result as { audit_id: string }).audit_id);
        return { outcome: "repeated", operationId: id, ...creditOf(row) };
      },
    );
  } catch (error) {
    const state = sqlState(error) ?? "";
    if (!(state in REFUSALS)) throw error;
    const message = error instanceof Error ? error.message : state;
    return { outcome: "refused", reason: REFUSALS[state as keyof typeof REFUSALS], message };
  }
}

type Posted = {
  id: string;
  account_id: string;
  amount: string;
  audit_category: string;
  credits_version: string;
  reference: string | null;
  created_at: Date;
  /** Whether this very transaction wrote it. */
  ours: boolean;
  operation_id: string | null;
  balance: string;
  total_credits: string;
  balance_before: string;
  total_credits_before: string;
};

// post_credit comes first and takes the locks: to take the account's before would be another order than its own, and a deadlock.
const POST = "SELECT id FROM data.post_credit($1, $2, $3, $4, $5, $6)";
// Both rows of one transaction have its time, and the first is found by its index.
const READ = `
SELECT u.id, u.account_id, u.amount, u.audit_category, u.credits_version, u.reference, u.created_at, u.xmin = pg_current_xact_id()::xid AS ours,
       (SELECT o.id FROM data.operator_action o
         WHERE o.started_at = u.created_at AND o.action = 'credit' AND o.result->>'audit_id' = u.id::text) AS operation_id,
       a.balance, a.total_credits, a.balance - u.amount AS balance_before, a.total_credits - u.amount AS total_credits_before
  FROM data.account_balance_audit u JOIN data.account_balance a ON a.id = u.account_id WHERE u.id = $1`;

async function giveOnce(query: Query, credit: CreditToGive, act: Required<Act>): Promise<GivenCredit> {
  const { accountId, amountNanos, category, reference = null } = credit;
  const [given] = await query<{ id: string }>(POST, [
    accountId,
    formatUnits(amountNanos),
    category,
    reference,
    act.reason,
    act.actor,
  ]);
  const row = await readPosted(query, given?.id);
  if (!row.ours) return { outcome: "repeated", operationId: row.operation_id, ...creditOf(row) };
  return { outcome: "credited", operationId: await record(query, row, act), ...creditOf(row) };
}

async function readPosted(query: Query, auditId: string | undefined): Promise<Posted> {
  const [row] = await query<Posted>(READ, [auditId]);
  if (!row) throw new Error("a credit that was posted is not there");
  return row;
}

function creditOf(row: Posted): Omit<GivenCredit, "outcome" | "operationId"> {
  return {
    auditId: row.id,
    accountId: row.account_id,
    amount: row.amount,
    category: row.audit_category,
    creditsVersion: BigInt(row.credits_version),
    reference: row.reference,
    createdAt: row.created_at,
    balance: row.balance,
    totalCredits: row.total_credits,
  };
}

async function record(query: Query, row: Posted, act: Act): Promise<string> {
  const { amount, audit_category: category, reference } = row;
  return await recordAct(query, act, {
    action: "credit",
    targets: [row.account_id],
    counts: ONE_APPLIED,
    before: { balance: row.balance_before, total_credits: row.total_credits_before },
    after: { balance: row.balance, total_credits: row.total_credits },
    result: { audit_id: row.id, amount, category, reference },
  });
}
