// For `drizzle-kit generate`: writes the next migration from the difference between the schema and the last snapshot.
// What Drizzle cannot say (triggers, functions, views) goes into a migration made with `drizzle-kit generate --custom`.
// Migrations are run by `migrate` of @drawdown/db alone, which takes the lock; `drizzle-kit push` must not be used.
import { defineConfig } from "drizzle-kit";

export default defineConfig({
  dialect: "postgresql",
  schema: "./packages/db/src/schema.ts",
  out: "./packages/db/migrations",
  schemaFilter: ["data"],
  migrations: { schema: "data", table: "drawdown_migration" },
});
