// What was drawn: deductions, the chain of every balance, and what could not be settled.
// Older workers of the replaced system insert into usage_log and account_balance_audit too: whatever their statements do
// not name is nullable or has a default, and what they write is never refused for a value that they were free to choose.

import { sql } from "drizzle-orm";
import {
  bigint,
  check,
  customType,
  foreignKey,
  index,
  integer,
  jsonb,
  numeric,
  text,
  unique,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import { accountBalance, amount, data, moment, total } from "./schema-accounts.ts";

const bytea = customType<{ data: Buffer }>({ dataType: () => "bytea" });
const identity = () => bigint("id", { mode: "bigint" }).primaryKey().generatedByDefaultAsIdentity();
/** 0 … 2⁵³, as entries are checked; exact as a JavaScript number. */
const tokens = (name: string) => bigint(name, { mode: "number" });

export const usageLog = data.table(
  "usage_log",
  {
    id: identity(),
    deductionId: text("deduction_id").notNull(),
    /** No foreign key on key, provider and model: an older producer's values must settle. */
    virtualKey: text("virtual_key").notNull(),
    accountId: uuid("account_id").notNull(),
    accountType: text("account_type").notNull(),
    provider: text("provider").notNull(),
    model: text("model").notNull(),
    cost: amount("cost").notNull(),
    currency: text("currency").notNull().default("USD"),
    /** The entry's timestamp, not the time of settling. */
    createdAt: moment("created_at").notNull().defaultNow(),
    inputTokens: tokens("input_tokens").default(0),
    outputTokens: tokens("output_tokens").default(0),
    totalTokens: tokens("total_tokens"),
    metadataJson: jsonb("metadata_json").default({}),
    syncStatus: text("sync_status").notNull().default("completed"),
    balanceBefore: total("balance_before"),
    balanceAfter: total("balance_after"),
    /** Null for older producers: drawn from their Redis key, no link of our chain. */
    accountSeq: bigint("account_seq", { mode: "bigint" }),
    requestId: text("request_id"),
    usageSource: text("usage_source", { enum: ["provider", "partial", "estimated", "none", "reported"] }),
    streamKey: text("stream_key"),
    streamEntryId: text("stream_entry_id"),
    consumer: text("consumer"),
    deliveryCount: integer("delivery_count"),
    /** Set by our settle statement alone; null is half-settled: an older worker's row, which moved no balance. */
    settledAt: moment("settled_at"),
    balanceCheck: text("balance_check", { enum: ["ok", "missing", "mismatch"] }),
  },
  (table) => [
    foreignKey({ name: "usage_log_account_fk", columns: [table.accountId], foreignColumns: [accountBalance.id] }),
    unique("usage_log_deduction_id_key").on(table.deductionId),
    check("usage_log_cost_check", sql`cost >= 0 and cost <> 'NaN'::numeric`),
    check("usage_log_balance_before_check", sql`balance_before <> 'NaN'::numeric`),
    check("usage_log_balance_after_check", sql`balance_after <> 'NaN'::numeric`),
    check(
      "usage_log_usage_source_check",
      sql`usage_source in ('provider', 'partial', 'estimated', 'none', 'reported')`,
    ),
    check("usage_log_balance_check_check", sql`balance_check in ('ok', 'missing', 'mismatch')`),
    // Reconcile: Σ cost WHERE account_id = $1 AND account_seq > $2
    index("usage_log_account_seq_index").on(table.accountId, table.accountSeq).where(sql`account_seq is not null`),
    // Trace, and the look-up of a request id after an epoch: WHERE request_id = $1 [AND account_id = $2]
    index("usage_log_request_index").on(table.requestId, table.accountId).where(sql`request_id is not null`),
    // Trace: WHERE stream_entry_id = $1
    index("usage_log_entry_index").on(table.streamEntryId).where(sql`stream_entry_id is not null`),
    // The deductions page of all: WHERE id > 0 AND (created_at, id) < ($1, $2) ORDER BY created_at DESC, id DESC. `id > 0` is true of every
    // row and names the index: without it the planner takes this one for a large account or key too, as the rows lie in its order, and
    // would go through everything newer when that account has been quiet.
    index("usage_log_created_index").on(table.createdAt, table.id).where(sql`id > 0`),
    // What a key has spent in a period, and its deductions: WHERE virtual_key = $1 AND created_at >= $2
    index("usage_log_key_index").on(table.virtualKey, table.createdAt, table.id),
    // The deductions of an account, its spend in a period, and which link a moment belongs to: WHERE account_id = $1 AND created_at < $2
    index("usage_log_account_index").on(table.accountId, table.createdAt, table.id),
    // The deductions page of a model or a provider: WHERE model = $1 ORDER BY created_at DESC, id DESC
    index("usage_log_model_index").on(table.model, table.createdAt, table.id),
    index("usage_log_provider_index").on(table.provider, table.createdAt, table.id),
    // The deductions page of what is unusual; each is empty or small where all goes well.
    index("usage_log_balance_check_index")
      .on(table.balanceCheck, table.createdAt, table.id)
      .where(sql`balance_check <> 'ok'`),
    index("usage_log_usage_source_index")
      .on(table.usageSource, table.createdAt, table.id)
      .where(sql`usage_source is distinct from 'provider'`),
    index("usage_log_unsettled_index").on(table.createdAt, table.id).where(sql`settled_at is null`),
    index("usage_log_customer_type_index")
      .on(table.createdAt, table.id)
      .where(sql`metadata_json @> '{"customer_type_mismatch": true}'`),
    // What replay completes: WHERE settled_at IS NULL ORDER BY id. Empty while no older worker runs.
    index("usage_log_half_settled_index").on(table.id).where(sql`settled_at is null`),
  ],
);

export const accountBalanceAudit = data.table(
  "account_balance_audit",
  {
    id: identity(),
    /** Null for credits and repairs. */
    deductionId: text("deduction_id"),
    accountId: uuid("account_id").notNull(),
    accountType: text("account_type").notNull(),
    /** Signed: negative for usage. */
    amount: total("amount").notNull(),
    /** `api_gateway` for usage; `post_credit`, `sql` or `older_producer` for credits. */
    source: text("source"),
    auditCategory: text("audit_category"),
    /** usage_log.id of the deduction, without a foreign key: retention removes both, in batches. */
    usageLogId: bigint("usage_log_id", { mode: "bigint" }),
    createdAt: moment("created_at").notNull().defaultNow(),
    syncStatus: text("sync_status").notNull().default("completed"),
    balanceBefore: total("balance_before"),
    balanceAfter: total("balance_after"),
    /** Set: the row is a link of the chain. Not unique: after a loss a seq can repeat, and that is reported as a fork. */
    accountSeq: bigint("account_seq", { mode: "bigint" }),
    /** Set: the row is a credit. Σ amount of an account's credits is its total_credits. */
    creditsVersion: bigint("credits_version", { mode: "bigint" }),
    /** When Redis had the credit. */
    appliedAt: moment("applied_at"),
    reason: text("reason"),
    actor: text("actor"),
    reference: text("reference"),
    /** Null for usage. */
    kind: text("kind", { enum: ["credit", "repair"] }),
    streamKey: text("stream_key"),
    streamEntryId: text("stream_entry_id"),
  },
  (table) => [
    foreignKey({
      name: "account_balance_audit_account_fk",
      columns: [table.accountId],
      foreignColumns: [accountBalance.id],
    }),
    unique("account_balance_audit_deduction_id_key").on(table.deductionId),
    check("account_balance_audit_amount_check", sql`amount <> 'NaN'::numeric`),
    check("account_balance_audit_balance_before_check", sql`balance_before <> 'NaN'::numeric`),
    check("account_balance_audit_balance_after_check", sql`balance_after <> 'NaN'::numeric`),
    check("account_balance_audit_reference_check", sql`length(reference) between 1 and 512`),
    check("account_balance_audit_kind_check", sql`kind in ('credit', 'repair')`),
    check(
      "account_balance_audit_credit_check",
      sql`credits_version is null or deduction_id is null and audit_category is not null and audit_category in ('top_up', 'refund', 'adjustment')`,
    ),
    // post_credit: WHERE reference = $1; one effect for each.
    uniqueIndex("account_balance_audit_reference_key").on(table.reference).where(sql`reference is not null`),
    // A credit or repair entry that is settled twice is one link.
    uniqueIndex("account_balance_audit_entry_key")
      .on(table.streamKey, table.streamEntryId, table.accountId, table.accountSeq)
      .where(sql`deduction_id is null and account_seq is not null`),
    // The chain and its last link: WHERE account_id = $1 AND account_seq IS NOT NULL ORDER BY account_seq [DESC LIMIT 1]
    index("account_balance_audit_seq_index").on(table.accountId, table.accountSeq).where(sql`account_seq is not null`),
    // The audit trail's credits and repairs alone: WHERE account_id = $1 AND deduction_id IS NULL ORDER BY account_seq DESC
    index("account_balance_audit_credit_link_index")
      .on(table.accountId, table.accountSeq)
      .where(sql`deduction_id is null and account_seq is not null`),
    // Credits by version: Σ amount WHERE account_id = $1 AND credits_version > $2; the row that a link settles into.
    index("account_balance_audit_version_index")
      .on(table.accountId, table.creditsVersion)
      .where(sql`credits_version is not null`),
    // Catch-up, every 30 s: SELECT DISTINCT account_id WHERE applied_at IS NULL AND credits_version IS NOT NULL
    index("account_balance_audit_unapplied_index")
      .on(table.accountId)
      .where(sql`applied_at is null and credits_version is not null`),
  ],
);

export const deadLetter = data.table(
  "dead_letter",
  {
    id: identity(),
    streamKey: text("stream_key").notNull(),
    streamEntryId: text("stream_entry_id").notNull(),
    raw: bytea("raw").notNull(),
    rawHash: bytea("raw_hash").notNull().generatedAlwaysAs(sql`sha256(raw)`),
    /** A readable copy; `raw` is the truth. */
    fields: jsonb("fields"),
    // What could be read, in types that hold more than a good entry may have. Null: could not be read.
    deductionId: text("deduction_id"),
    accountId: text("account_id"),
    cost: numeric("cost"),
    accountSeq: bigint("account_seq", { mode: "bigint" }),
    balanceBefore: numeric("balance_before"),
    balanceAfter: numeric("balance_after"),
    errorClass: text("error_class").notNull(),
    errorMessage: text("error_message").notNull(),
    attempts: integer("attempts").notNull().default(1),
    state: text("state", { enum: ["open", "discarded", "replayed"] })
      .notNull()
      .default("open"),
    createdAt: moment("created_at").notNull().defaultNow(),
    lastAttemptAt: moment("last_attempt_at").notNull().defaultNow(),
    history: jsonb("history").notNull().default([]),
  },
  (table) => [
    unique("dead_letter_entry_key").on(table.streamKey, table.streamEntryId, table.rawHash),
    check("dead_letter_state_check", sql`state in ('open', 'discarded', 'replayed')`),
    check("dead_letter_cost_check", sql`cost <> 'NaN'::numeric`),
    check("dead_letter_balance_before_check", sql`balance_before <> 'NaN'::numeric`),
    check("dead_letter_balance_after_check", sql`balance_after <> 'NaN'::numeric`),
    check("dead_letter_history_check", sql`jsonb_typeof(history) = 'array'`),
    // Settling closes it: WHERE deduction_id = ANY($1) AND state <> 'replayed'; trace: WHERE deduction_id = $1
    // (Hash: what could not be settled may be longer than a btree key can be.)
    index("dead_letter_deduction_index").using("hash", table.deductionId),
    // Load and reconcile: WHERE account_id = $1 AND state <> 'replayed'
    index("dead_letter_account_index").using("hash", table.accountId).where(sql`state <> 'replayed'`),
    // The dead letters page and its count: WHERE state = $1 AND id < $2 ORDER BY id DESC
    index("dead_letter_state_index").on(table.state, table.id),
    // The same of one class of error, and how many there are of each: WHERE state = $1 AND error_class = $2 ORDER BY id DESC
    index("dead_letter_class_index").on(table.state, table.errorClass, table.id),
    // What was written off of an account, whatever became of its letter: WHERE account_id = $1 AND history @> …
    index("dead_letter_written_off_index")
      .using("hash", table.accountId)
      .where(sql`history @> '[{"act": "written_off"}]'`),
    // Trace: WHERE stream_entry_id = $1 OR fields->>'request_id' = $1
    index("dead_letter_entry_index").using("hash", table.streamEntryId),
    index("dead_letter_request_index").using("hash", sql`(fields ->> 'request_id')`),
  ],
);
