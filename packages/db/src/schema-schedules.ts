// What runs by itself, and what is told to the outside about alerts.

import { sql } from "drizzle-orm";
import { bigint, check, foreignKey, index, integer, jsonb, text } from "drizzle-orm/pg-core";
import { data, moment } from "./schema-accounts.ts";
import { alert } from "./schema-operations.ts";

/** The state of each schedule, one row for all workers. Whether it runs now is said by an advisory lock, which a crash frees. */
export const schedule = data.table("schedule", {
  name: text("name").primaryKey(),
  /** What the worker that started last was configured with. */
  settings: jsonb("settings").notNull().default({}),
  nextRunAt: moment("next_run_at").notNull(),
  /** When the last run that ended began. */
  lastRunAt: moment("last_run_at"),
  lastResult: jsonb("last_result"),
});

/** The outbox of the webhook: one row for each opening, worsening and resolving of an alert, written by a trigger. */
export const alertEvent = data.table(
  "alert_event",
  {
    id: bigint("id", { mode: "bigint" }).primaryKey().generatedByDefaultAsIdentity(),
    alertId: bigint("alert_id", { mode: "bigint" }).notNull(),
    event: text("event", { enum: ["opened", "worsened", "resolved"] }).notNull(),
    /** The alert's at that moment. */
    level: text("level", { enum: ["warning", "critical"] }).notNull(),
    createdAt: moment("created_at").notNull().defaultNow(),
    attempts: integer("attempts").notNull().default(0),
    nextAttemptAt: moment("next_attempt_at").notNull().defaultNow(),
    lastError: text("last_error"),
    /** Null: still to be posted. `skipped`: there is no webhook, or it does not want this level. */
    outcome: text("outcome", { enum: ["posted", "skipped"] }),
    finishedAt: moment("finished_at"),
  },
  (table) => [
    foreignKey({ name: "alert_event_alert_fk", columns: [table.alertId], foreignColumns: [alert.id] }),
    check("alert_event_event_check", sql`event in ('opened', 'worsened', 'resolved')`),
    check("alert_event_level_check", sql`level in ('warning', 'critical')`),
    check("alert_event_outcome_check", sql`outcome in ('posted', 'skipped')`),
    check("alert_event_finished_check", sql`(outcome is null) = (finished_at is null)`),
    // An alert's events in order: WHERE alert_id = $1 [AND outcome IS NULL] ORDER BY id
    index("alert_event_alert_index").on(table.alertId, table.id),
    // What is due and nobody posts: WHERE outcome IS NULL AND next_attempt_at <= now()
    index("alert_event_due_index").on(table.nextAttemptAt).where(sql`outcome is null`),
  ],
);
