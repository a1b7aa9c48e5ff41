// What was taken out of the books into files. A file is planned here before it is written, sealed with its checksum before anything is
// removed, and its ranges say what each account's chain goes on from: docs/decisions/0135-what-retention-removes.md.

import { sql } from "drizzle-orm";
import {
  bigint,
  check,
  foreignKey,
  index,
  integer,
  primaryKey,
  text,
  unique,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import { accountBalance, data, moment, total } from "./schema-accounts.ts";
import { operatorAction } from "./schema-operations.ts";

export const retentionFile = data.table(
  "retention_file",
  {
    id: bigint("id", { mode: "bigint" }).primaryKey().generatedByDefaultAsIdentity(),
    /** Below the directory of the operator's choice. */
    name: text("name").notNull(),
    operationId: uuid("operation_id").notNull(),
    plannedAt: moment("planned_at").notNull().defaultNow(),
    /** The checksum is of the file as it lies there, durable and whole; null until it does. Lower-case hex. */
    sha256: text("sha256"),
    bytes: bigint("bytes", { mode: "bigint" }),
    /** All of its rows have left the tables. */
    removedAt: moment("removed_at"),
  },
  (table) => [
    foreignKey({
      name: "retention_file_operation_fk",
      columns: [table.operationId],
      foreignColumns: [operatorAction.id],
    }),
    unique("retention_file_name_key").on(table.name),
    check("retention_file_sha256_check", sql`sha256 ~ '^[0-9a-f]{64}$'`),
    check(
      "retention_file_sealed_check",
      sql`(sha256 is null) = (bytes is null) and (removed_at is null or sha256 is not null)`,
    ),
    // What a run goes on with: WHERE removed_at IS NULL ORDER BY id
    index("retention_file_unfinished_index").on(table.id).where(sql`removed_at is null`),
  ],
);

/** One account's part of a file: links of its chain, or (without seqs) what older producers drew, from a moment up to another. */
export const retentionRange = data.table(
  "retention_range",
  {
    fileId: bigint("file_id", { mode: "bigint" }).notNull(),
    n: integer("n").notNull(),
    accountId: uuid("account_id").notNull(),
    fromSeq: bigint("from_seq", { mode: "bigint" }),
    /** There is such a link. Removed once `account_balance.closed_seq` has reached it. */
    toSeq: bigint("to_seq", { mode: "bigint" }),
    /** When its first and last link moved the balance; of older producers' rows from this moment, up to and without that. */
    fromAt: moment("from_at").notNull(),
    toAt: moment("to_at").notNull(),
    /** Lines of the file, and how many of them are deductions, which leave the tables. Credits and repairs stay. */
    lines: integer("lines").notNull(),
    deductions: integer("deductions").notNull(),
    /** Σ of the deductions' costs. */
    cost: total("cost").notNull(),
    /** The closing balance: what the chain goes on from after `to_seq`. */
    closingBalance: total("closing_balance"),
    /** Σ of own deductions that left the account's books up to `to_seq`: with those that stayed they are its `total_debits`. */
    closingDebits: total("closing_debits"),
  },
  (table) => [
    primaryKey({ name: "retention_range_pkey", columns: [table.fileId, table.n] }),
    foreignKey({ name: "retention_range_file_fk", columns: [table.fileId], foreignColumns: [retentionFile.id] }),
    foreignKey({ name: "retention_range_account_fk", columns: [table.accountId], foreignColumns: [accountBalance.id] }),
    check(
      "retention_range_links_check",
      sql`num_nulls(from_seq, to_seq, closing_balance, closing_debits) in (0, 4) and from_seq <= to_seq`,
    ),
    // What an account's chain goes on from: WHERE account_id = $1 AND to_seq = $2. Nothing is in two files.
    uniqueIndex("retention_range_closing_key").on(table.accountId, table.toSeq).where(sql`to_seq is not null`),
    // Trace: which files hold what was drawn at a moment: WHERE from_at <= $1 AND to_at >= $1
    index("retention_range_time_index").on(table.toAt, table.fromAt),
  ],
);
