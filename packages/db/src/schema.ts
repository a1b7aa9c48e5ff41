// The whole schema `data`, by noun. The migrations are generated from it (see drizzle.config.ts at the root) and a test
// compares it with a migrated database, so that the two cannot drift.
export * from "./schema-accounts.ts";
export * from "./schema-holds.ts";
export * from "./schema-operations.ts";
export * from "./schema-operators.ts";
export * from "./schema-prices.ts";
export * from "./schema-refusals.ts";
export * from "./schema-retention.ts";
export * from "./schema-saved-views.ts";
export * from "./schema-schedules.ts";
export * from "./schema-usage.ts";
