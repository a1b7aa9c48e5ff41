// The door of packages/db: schema, migrations, connections, and queries by noun. SQL numerics cross it as strings.
export * from "./account-list.ts";
export {
  type AccountCredits,
  type AuditRow,
  type Credit,
  findAccount,
  findUnapplied,
  postCredit,
  readCredits,
} from "./accounts.ts";
export * from "./alert-list.ts";
export * from "./alerts.ts";
export {
  type CoveredCredit,
  countNewerTrail,
  countTrail,
  listTrail,
  listWaitingCredits,
  movedMs,
  readBalanceAt,
  seqAtSql,
  type TrailCategory,
  type TrailFilters,
  type TrailLink,
  type TrailUsage,
  trailCursorAt,
  trailCursorAtSeq,
  type WaitingCredit,
} from "./audit-trail.ts";
export { type ConnectOptions, closeDb, connectDb, type Db } from "./connect.ts";
export * from "./dead-letter-list.ts";
export {
  countDeductions,
  countNewerDeductions,
  type Deduction,
  type DeductionFilters,
  listDeductions,
  readUsageTexts,
  type UsageTexts,
} from "./deductions.ts";
export * from "./key-list.ts";
export { type ListenOptions, listen } from "./listen.ts";
export { isMigrated, type MigrateOptions, migrate } from "./migrate.ts";
export * from "./operators.ts";
export * from "./overview-figures.ts";
export { type Count, everyRow, given, InvalidPage, listOf, type Page, type PageRequest } from "./pages.ts";
export * from "./price-rows.ts";
export * from "./refusals.ts";
export * from "./retention.ts";
export * from "./saved-views.ts";
export * from "./schedules.ts";
export * as schema from "./schema.ts";
export * from "./schema.ts";
export * from "./spend-figures.ts";
export * from "./uncaptured-holds.ts";
export * from "./virtual-keys.ts";
