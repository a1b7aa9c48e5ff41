// What operators did, what is wrong now, and what the two stores must agree on.

import { sql } from "drizzle-orm";
import {
  bigint,
  check,
  foreignKey,
  index,
  integer,
  jsonb,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import { data, moment } from "./schema-accounts.ts";

export const operatorAction = data.table(
  "operator_action",
  {
    id: uuid("id").primaryKey().defaultRandom(),
    actor: text("actor").notNull(),
    role: text("role").notNull(),
    action: text("action").notNull(),
    reason: text("reason").notNull(),
    /** The frozen set: what arrived after it was taken is untouched. */
    targets: jsonb("targets").notNull().default([]),
    counts: jsonb("counts"),
    before: jsonb("before"),
    after: jsonb("after"),
    /** Null while unfinished. */
    result: jsonb("result"),
    /** What an operator wants of an act that is not finished; who runs it looks here between two steps. */
    control: text("control", { enum: ["run", "pause", "abort"] })
      .notNull()
      .default("run"),
    startedAt: moment("started_at").notNull().defaultNow(),
    finishedAt: moment("finished_at"),
  },
  (table) => [
    check("operator_action_control_check", sql`control in ('run', 'pause', 'abort')`),
    check("operator_action_reason_check", sql`length(btrim(reason)) > 0`),
    check("operator_action_actor_check", sql`length(btrim(actor)) > 0`),
    // The operations page: WHERE (started_at, id) < ($1, $2) ORDER BY started_at DESC, id DESC
    index("operator_action_started_index").on(table.startedAt, table.id),
    // The operations page of one act or actor; the breaks that were accepted: WHERE action = 'accept'
    index("operator_action_action_index").on(table.action, table.startedAt, table.id),
    index("operator_action_actor_index").on(table.actor, table.startedAt, table.id),
    // What is resumed or shown as unfinished: WHERE finished_at IS NULL ORDER BY started_at
    index("operator_action_unfinished_index").on(table.startedAt).where(sql`finished_at is null`),
    // Trace: who had a hand in it: WHERE targets @> '["<name>"]', and the act that gave a credit
    index("operator_action_targets_index").using("gin", sql`targets jsonb_path_ops`),
    index("operator_action_audit_index").on(sql`(result ->> 'audit_id')`).where(sql`result ->> 'audit_id' is not null`),
  ],
);

/** One target of a bulk act, in the order in which they were frozen, and what became of it. */
export const operationItem = data.table(
  "operation_item",
  {
    operationId: uuid("operation_id").notNull(),
    n: integer("n").notNull(),
    target: jsonb("target").notNull(),
    /** Null: not done yet. */
    outcome: text("outcome", { enum: ["applied", "already", "failed"] }),
    detail: jsonb("detail"),
    finishedAt: moment("finished_at"),
  },
  (table) => [
    // The next items: WHERE operation_id = $1 AND n > $2 AND outcome IS NULL ORDER BY n; the page of an operation's items.
    primaryKey({ name: "operation_item_pkey", columns: [table.operationId, table.n] }),
    foreignKey({
      name: "operation_item_operation_fk",
      columns: [table.operationId],
      foreignColumns: [operatorAction.id],
    }),
    check("operation_item_outcome_check", sql`outcome in ('applied', 'already', 'failed')`),
    check("operation_item_finished_check", sql`(outcome is null) = (finished_at is null)`),
  ],
);

export const alert = data.table(
  "alert",
  {
    id: bigint("id", { mode: "bigint" }).primaryKey().generatedByDefaultAsIdentity(),
    level: text("level", { enum: ["warning", "critical"] }).notNull(),
    kind: text("kind").notNull(),
    /** What it is about: a shard, an account; empty for the whole system. */
    key: text("key").notNull().default(""),
    message: text("message").notNull(),
    details: jsonb("details").notNull().default({}),
    openedAt: moment("opened_at").notNull().defaultNow(),
    resolvedAt: moment("resolved_at"),
  },
  (table) => [
    check("alert_level_check", sql`level in ('warning', 'critical')`),
    // One open alert for each thing that is wrong; also: WHERE resolved_at IS NULL
    uniqueIndex("alert_open_key").on(table.kind, table.key).where(sql`resolved_at is null`),
    // The alerts page: WHERE (opened_at, id) < ($1, $2) ORDER BY opened_at DESC, id DESC
    index("alert_opened_index").on(table.openedAt, table.id),
    // The same of what is open: WHERE resolved_at IS NULL ORDER BY opened_at DESC, id DESC
    index("alert_unresolved_index").on(table.openedAt, table.id).where(sql`resolved_at is null`),
  ],
);

export const shard = data.table(
  "shard",
  {
    shard: integer("shard").primaryKey(),
    epoch: bigint("epoch", { mode: "bigint" }).notNull(),
    /** The server's master_replid in this epoch; null before it was seen. */
    replid: text("replid"),
    /** The stream entry id up to which every entry is proven settled. */
    proven: text("proven"),
    updatedAt: moment("updated_at").notNull().defaultNow(),
  },
  () => [check("shard_shard_check", sql`shard >= 0`), check("shard_epoch_check", sql`epoch > 0`)],
);

/** What must never differ between processes or starts, such as NUM_SHARDS. */
export const setting = data.table("setting", {
  key: text("key").primaryKey(),
  value: text("value").notNull(),
});
