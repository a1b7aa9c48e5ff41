// Why a request was refused with 402: the figures of that moment, which no later reading can find again. Kept for support, bounded per
// account and by age (refusals.ts), written behind the answer; nothing of the money depends on it.

import { sql } from "drizzle-orm";
import { bigint, check, index, jsonb, text, uuid } from "drizzle-orm/pg-core";
import { data, moment, total } from "./schema-accounts.ts";

export const refusal = data.table(
  "refusal",
  {
    id: bigint("id", { mode: "bigint" }).primaryKey().generatedByDefaultAsIdentity(),
    /** When it was refused, by the gateway's clock. */
    createdAt: moment("created_at").notNull(),
    /** No foreign key: one account that is gone must not refuse the batch of all others. */
    accountId: uuid("account_id").notNull(),
    virtualKey: text("virtual_key").notNull(),
    requestId: text("request_id").notNull(),
    code: text("code", { enum: ["insufficient_balance", "spend_limit"] }).notNull(),
    provider: text("provider"),
    model: text("model"),
    currency: text("currency").notNull(),
    balance: total("balance").notNull(),
    held: total("held").notNull(),
    creditLimit: total("credit_limit").notNull(),
    required: total("required").notNull(),
    /** Of the key, where that was the reason: its limit, and what it had drawn and set aside in the period. */
    spendLimit: total("spend_limit"),
    spendPeriod: text("spend_period"),
    spent: total("spent"),
    reserved: total("reserved"),
    /** The price that the estimate was made with. */
    price: jsonb("price"),
    /** From what `required` follows: counted tokens, or the usage that was reported. */
    estimate: jsonb("estimate"),
  },
  (table) => [
    check("refusal_code_check", sql`code in ('insufficient_balance', 'spend_limit')`),
    // The refusals of an account, the newest first: WHERE account_id = $1 ORDER BY id DESC
    index("refusal_account_index").on(table.accountId, table.id),
    // Trace: WHERE request_id = $1
    index("refusal_request_index").on(table.requestId),
    // What is too old: WHERE created_at < $1 ORDER BY created_at
    index("refusal_created_index").on(table.createdAt),
  ],
);
