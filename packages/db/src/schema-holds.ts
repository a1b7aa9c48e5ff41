// Holds of our own gateways that expired and were neither captured nor voided: a gateway died, and what it had delivered by then is not
// charged. Kept so that it is counted, listed and alerted; a capture that comes late after all is found in usage_log.

import { sql } from "drizzle-orm";
import { check, index, text, uuid } from "drizzle-orm/pg-core";
import { amount, data, moment } from "./schema-accounts.ts";

export const uncapturedHold = data.table(
  "uncaptured_hold",
  {
    /** Would have been the deduction's id. */
    holdId: text("hold_id").primaryKey(),
    /** No foreign key: one account that is gone must not refuse the batch of all others. */
    accountId: uuid("account_id").notNull(),
    virtualKey: text("virtual_key").notNull(),
    requestId: text("request_id").notNull(),
    provider: text("provider").notNull(),
    model: text("model").notNull(),
    /** What was set aside: the most that it may have cost. */
    amount: amount("amount").notNull(),
    openedAt: moment("opened_at").notNull(),
    expiredAt: moment("expired_at").notNull(),
  },
  (table) => [
    check("uncaptured_hold_amount_check", sql`amount >= 0 and amount <> 'NaN'::numeric`),
    // The newest first, and what is of the last day: WHERE expired_at > $1 ORDER BY expired_at DESC
    index("uncaptured_hold_expired_index").on(table.expiredAt),
  ],
);
