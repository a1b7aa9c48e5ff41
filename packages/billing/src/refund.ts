// Giving a charge back: a credit of category refund whose reference names the deduction. Refunds of an account wait for each
// other at its row, so that together they never give back more than was charged.
import { randomUUID } from "node:crypto";
import type { Billing } from "./billing.ts";
import { BillingError } from "./errors.ts";
import { formatUnits, parseUnits } from "./money.ts";
import { type Act, actOnce, ONE_APPLIED, recordAct } from "./operations.ts";
import { type Query, queryOf } from "./postgres.ts";

/** A refund as it is on record. */
export type Refund = {
  operationId: string;
  deductionId: string;
  accountId: string;
  currency: string;
  amountNanos: bigint;
  chargedNanos: bigint;
  /** In total, this one included. */
  refundedNanos: bigint;
  auditId: string;
};

export type RefundOutcome =
  | ({ outcome: "refunded" | "repeated" } & Refund)
  /** No deduction of this id is in the books: unknown, or not settled yet (replay comes before refund). */
  | { outcome: "not_settled" }
  | { outcome: "exceeds"; chargedNanos: bigint; refundedNanos: bigint; requestedNanos: bigint };

/**
 * Refunds a settled deduction, by default all that is left of it. With `act.id` given, the same refund asked for again answers
 * the first. Throws `invalid_amount` below a nano, `invalid_request` without a reason, `postgres_unavailable`.
 */
export async function refund(
  billing: Pick<Billing, "db">,
  deductionId: string,
  act: Act,
  amountNanos?: bigint,
): Promise<RefundOutcome> {
  if (amountNanos !== undefined && amountNanos <= 0n)
    throw new BillingError("invalid_amount", "A refund is more than zero.");
  return await actOnce(
    billing,
    act,
    "refund",
    (query, once) => refundOnce(query, deductionId, once, amountNanos),
    async (query, { id, result }) => {
      const first = result as { deduction_id: string; amount: string; audit_id: string };
      const charged = await readCharged(query, first.deduction_id);
      if (!charged) return { outcome: "not_settled" };
      return {
        outcome: "repeated",
        ...chargeOf(charged),
        operationId: id,
        amountNanos: parseUnits(first.amount),
        refundedNanos: sumOf(await readRefunds(query, charged.account_id, first.deduction_id)),
        auditId: first.audit_id,
      };
    },
  );
}

type Charged = { deduction_id: string; account_id: string; currency: string; cost: string };

function chargeOf({ deduction_id, account_id, currency, cost }: Charged) {
  return { deductionId: deduction_id, accountId: account_id, currency, chargedNanos: parseUnits(cost) };
}

async function refundOnce(
  query: Query,
  deductionId: string,
  act: Required<Act>,
  amountNanos: bigint | undefined,
): Promise<RefundOutcome> {
  const charged = await readCharged(query, deductionId);
  if (!charged) return { outcome: "not_settled" };
  const [before] = await query<{ balance: string; total_credits: string }>(
    "SELECT balance, total_credits FROM data.account_balance WHERE id = $1 FOR NO KEY UPDATE",
    [charged.account_id],
  );
  const { chargedNanos } = chargeOf(charged);
  const refundedNanos = sumOf(await readRefunds(query, charged.account_id, deductionId));
  const leftNanos = chargedNanos - refundedNanos;
  const requestedNanos = amountNanos ?? leftNanos;
  if (requestedNanos > leftNanos || requestedNanos === 0n)
    return { outcome: "exceeds", chargedNanos, refundedNanos, requestedNanos };
  const [credit] = await query<{ id: string }>("SELECT id FROM data.post_credit($1, $2, 'refund', $3, $4, $5)", [
    charged.account_id,
    formatUnits(requestedNanos),
    referenceOf(deductionId, act.id),
    act.reason,
    act.actor,
  ]);
  if (!credit) throw new Error("data.post_credit returned no row");
  const [after] = await query("SELECT balance, total_credits FROM data.account_balance WHERE id = $1", [
    charged.account_id,
  ]);
  const result = { deduction_id: deductionId, amount: formatUnits(requestedNanos), audit_id: credit.id };
  const targets = [deductionId];
  await recordAct(query, act, { action: "refund", targets, counts: ONE_APPLIED, before, after, result });
  return {
    outcome: "refunded",
    ...chargeOf(charged),
    operationId: act.id,
    amountNanos: requestedNanos,
    refundedNanos: refundedNanos + requestedNanos,
    auditId: credit.id,
  };
}

/** What can still be given back of a settled deduction. Decimal text of units. */
export type Refundable = {
  deductionId: string;
  accountId: string;
  currency: string;
  charged: string;
  refunded: string;
  left: string;
};

/** Undefined: no settled deduction has this id. Throws `postgres_unavailable`. */
export async function readRefundable(
  billing: Pick<Billing, "db">,
  deductionId: string,
): Promise<Refundable | undefined> {
  const query = queryOf(billing.db);
  const charged = await readCharged(query, deductionId);
  if (!charged) return undefined;
  const chargedNanos = parseUnits(charged.cost);
  const refundedNanos = sumOf(await readRefunds(query, charged.account_id, deductionId));
  return {
    deductionId,
    accountId: charged.account_id,
    currency: charged.currency,
    charged: formatUnits(chargedNanos),
    refunded: formatUnits(refundedNanos),
    left: formatUnits(chargedNanos - refundedNanos),
  };
}

async function readCharged(query: Query, deductionId: string): Promise<Charged | undefined> {
  const [charged] = await query<Charged>(
    "SELECT deduction_id, account_id, currency, cost FROM data.usage_log WHERE deduction_id = $1 AND settled_at IS NOT NULL",
    [deductionId],
  );
  return charged;
}

function sumOf(refunds: readonly { amount: string }[]): bigint {
  return refunds.reduce((sum, { amount }) => sum + parseUnits(amount), 0n);
}

/** Every refund of a deduction has a reference of its own, that begins with the deduction's id. */
function referenceOf(deductionId: string, operationId: string): string {
  return `refund:${deductionId}:${operationId}`;
}

/** By account, whose credits are indexed; a prefix of the reference could not use its index in every collation. */
async function readRefunds(query: Query, accountId: string, deductionId: string) {
  return await query<{ amount: string }>(
    `SELECT amount FROM data.account_balance_audit
      WHERE account_id = $1 AND credits_version IS NOT NULL AND audit_category = 'refund'
        AND starts_with(reference, $2) AND length(reference) = length($2) + length($3)`,
    [accountId, referenceOf(deductionId, ""), randomUUID()], // a deduction's id may begin another's
  );
}
