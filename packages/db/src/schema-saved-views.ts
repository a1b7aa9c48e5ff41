// What an operator keeps of a list: its filters and order, under a name of his own.

import { sql } from "drizzle-orm";
import { bigint, check, text, unique } from "drizzle-orm/pg-core";
import { data, moment } from "./schema-accounts.ts";

export const savedView = data.table(
  "saved_view",
  {
    id: bigint("id", { mode: "bigint" }).primaryKey().generatedByDefaultAsIdentity(),
    /** No foreign key: who signs in is kept elsewhere, and may come from another system. */
    operatorId: text("operator_id").notNull(),
    /** The page's name: `deductions`. */
    page: text("page").notNull(),
    name: text("name").notNull(),
    /** The query string of the page's address. */
    query: text("query").notNull(),
    createdAt: moment("created_at").notNull().defaultNow(),
  },
  (table) => [
    // Also the list: WHERE operator_id = $1 AND page = $2 ORDER BY name
    unique("saved_view_name_key").on(table.operatorId, table.page, table.name),
    check("saved_view_name_check", sql`length(btrim(name)) between 1 and 200`),
    check("saved_view_query_check", sql`length(query) <= 8192`),
  ],
);
