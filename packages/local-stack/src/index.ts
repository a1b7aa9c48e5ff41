// Embedded Postgres and private Redis for `npm start`, the tests and the benchmarks.

export { type Claim, claimFolder, FolderInUseError } from "./claim.ts";
export { freePort, portIsFree } from "./free-port.ts";
export { type PostgresOptions, type RunningServer, startPostgres } from "./postgres.ts";
export { type RedisOptions, startRedis } from "./redis.ts";
export { ensureRedisServer } from "./redis-server.ts";
export { type TestDatabase, testDatabase } from "./test-database.ts";
export { type TestRedis, testRedis } from "./test-redis.ts";
export { keepTestFilesInMemory, startTestRun, type TestRunOptions, testFolder } from "./test-run.ts";
export { type WaitOptions, waitFor } from "./wait-for.ts";
