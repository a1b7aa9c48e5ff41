// What every drawn cost has in common, charged at once or captured from a hold: what it is asked with, what it is answered, and what the
// scripts remember of it.
import { randomBytes } from "node:crypto";
import type { Billing } from "./billing.ts";
import { BillingError } from "./errors.ts";
import { MAX_AMOUNT_NANOS, parseUnits } from "./money.ts";
import type { SpendLimit } from "./spend.ts";
import { type AccountRef, MAX_METADATA_BYTES, MAX_TEXT_LENGTH, type UsageSource } from "./stream.ts";

/** One cost to draw down. `digest` is a digest of the client's body: the same id with another digest is a conflict. */
export type ChargeRequest = {
  account: AccountRef;
  virtualKey: string;
  requestId: string;
  digest: string;
  costNanos: bigint;
  provider: string;
  model: string;
  inputTokens: number;
  outputTokens: number;
  /** Default: input and output together. */
  totalTokens?: number;
  usageSource: UsageSource;
  metadata?: Record<string, unknown>;
  /** The service was given already: the cost is recorded even below zero, and on a frozen account. */
  delivered?: boolean;
  /** Of the key; what was delivered is recorded whatever it is. */
  spendLimit?: SpendLimit;
};

export type Deduction = {
  deductionId: string;
  costNanos: bigint;
  balanceBeforeNanos: bigint;
  balanceAfterNanos: bigint;
  accountSeq: bigint;
};

export type Refusal = {
  outcome: "refused";
  reason: "insufficient_balance" | "account_frozen" | "currency_mismatch" | "spend_limit";
  balanceNanos: bigint;
  heldNanos: bigint;
  availableNanos: bigint;
  requiredNanos: bigint;
  /** For `spend_limit`: what the key drew in the period, and what it has set aside. */
  spend?: SpendLimit & { drawnNanos: bigint; reservedNanos: bigint };
};

/** Refuses what our own settle statement would refuse, so that it never gets into the stream. The 14 arguments of draw.lua. */
export function drawArgs(request: Omit<ChargeRequest, "requestId" | "digest">, requestId: string): string[] {
  const { account, virtualKey, provider, model, costNanos } = request;
  checkAmount(costNanos, "The cost");
  const totalTokens = request.totalTokens ?? request.inputTokens + request.outputTokens;
  for (const count of [request.inputTokens, request.outputTokens, totalTokens])
    if (!Number.isSafeInteger(count) || count < 0)
      throw new BillingError("invalid_request", "A token count is not valid.");
  checkTexts({ requestId, virtualKey, provider, model });
  const metadata = request.metadata === undefined ? "{}" : JSON.stringify(request.metadata);
  if (Buffer.byteLength(metadata) > MAX_METADATA_BYTES)
    throw new BillingError("invalid_request", "metadata is too large.");
  return [
    account.id,
    account.ownerId,
    account.type,
    virtualKey,
    costNanos.toString(),
    account.currency,
    provider,
    model,
    String(request.inputTokens),
    String(request.outputTokens),
    String(totalTokens),
    requestId,
    request.usageSource,
    metadata,
  ];
}

export function checkAmount(nanos: bigint, what: string): void {
  if (nanos < 0n || nanos > MAX_AMOUNT_NANOS) throw new BillingError("invalid_amount", `${what} is out of range.`);
}

export function checkTexts(texts: Record<string, string>): void {
  for (const [name, text] of Object.entries(texts))
    if (text.length === 0 || text.length > MAX_TEXT_LENGTH || text.includes("\0"))
      throw new BillingError("invalid_request", `${name} is empty, too long or has a NUL.`);
}

/** A digest as the scripts remember it: the first word of what is kept under a request id. */
export function digestArg(digest: string): string {
  checkTexts({ digest });
  if (/\s/.test(digest)) throw new BillingError("invalid_request", "digest has white space.");
  return digest;
}

/** Bytes asked of the kernel at once, for it costs as much for ten as for thousands. */
let random = randomBytes(0);
const RANDOM_BYTES = 4_000;
const ID_BYTES = 10;

/** The random part of a `deduction_id`. */
export function randomId(): string {
  if (random.length < ID_BYTES) random = randomBytes(RANDOM_BYTES);
  const id = random.toString("hex", 0, ID_BYTES);
  random = random.subarray(ID_BYTES);
  return id;
}

/** What a script refused for: `why balance held limit`, for `spend_limit` also `drawn reserved`. */
export function readRefusal(text: string, requiredNanos: bigint, spendLimit: SpendLimit | undefined): Refusal {
  const [why, balance = "", held = "", credit = "", drawn = "", reserved = ""] = text.split(" ");
  const [balanceNanos, heldNanos] = [BigInt(balance), BigInt(held)];
  const availableNanos = balanceNanos + BigInt(credit) - heldNanos;
  const refusal = { outcome: "refused", balanceNanos, heldNanos, availableNanos, requiredNanos } as const;
  if (why === "spend_limit" && spendLimit !== undefined) {
    const spend = { ...spendLimit, drawnNanos: BigInt(drawn), reservedNanos: BigInt(reserved) };
    return { ...refusal, reason: why, spend };
  }
  if (why !== "insufficient_balance" && why !== "account_frozen" && why !== "currency_mismatch")
    throw new TypeError(`a script refused for an unknown reason: ${why}`);
  return { ...refusal, reason: why };
}

/** `deduction_id cost before after seq`, as the scripts remember an answer. */
export function readRemembered(text: string): Deduction {
  const [deductionId = "", cost = "", before = "", after = "", seq = ""] = text.split(" ");
  return {
    deductionId,
    costNanos: BigInt(cost),
    balanceBeforeNanos: BigInt(before),
    balanceAfterNanos: BigInt(after),
    accountSeq: BigInt(seq),
  };
}

/** After a loss Redis may have forgotten an id whose deduction is settled: for as long as ids live, the books are asked first. */
export function mayHaveForgotten(billing: Billing, shard: number): boolean {
  const lostAtMs = billing.fence.lostAtMs(shard);
  return lostAtMs !== 0 && Date.now() <= lostAtMs + billing.requestTtlMs;
}

/** What the books say these requests were charged, by `account_id request_id`. */
export async function findForgotten(
  billing: Billing,
  requests: readonly { accountId: string; requestId: string }[],
): Promise<Map<string, Deduction>> {
  type Settled = Record<"account_id" | "request_id" | "deduction_id" | "cost" | "account_seq", string> &
    Record<"balance_before" | "balance_after", string | null>;
  const rows = await billing.query<Settled>(
    `SELECT u.account_id, u.request_id, u.deduction_id, u.cost, u.balance_before, u.balance_after, u.account_seq
       FROM unnest($1::uuid[], $2::text[]) AS r(account_id, request_id)
       JOIN data.usage_log u ON u.account_id = r.account_id AND u.request_id = r.request_id
      WHERE u.account_seq IS NOT NULL ORDER BY u.id DESC`,
    [requests.map((request) => request.accountId), requests.map((request) => request.requestId)],
  );
  const deduction = (row: Settled): Deduction => ({
    deductionId: row.deduction_id,
    costNanos: parseUnits(row.cost),
    balanceBeforeNanos: parseUnits(row.balance_before ?? "0"),
    balanceAfterNanos: parseUnits(row.balance_after ?? "0"),
    accountSeq: BigInt(row.account_seq),
  });
  return new Map(rows.map((row) => [`${row.account_id} ${row.request_id}`, deduction(row)]));
}
