// The door of packages/db: schema, migrations, connections, and queries by noun. SQL numerics cross it as strings.
export * from "./accounts.ts";
export * from "./alerts.ts";
export { type ConnectOptions, closeDb, connectDb, type Db } from "./connect.ts";
export { type ListenOptions, listen } from "./listen.ts";
export { isMigrated, type MigrateOptions, migrate } from "./migrate.ts";
export * from "./refusals.ts";
export * from "./schedules.ts";
export * as schema from "./schema.ts";
export * from "./schema.ts";
export * from "./virtual-keys.ts";
