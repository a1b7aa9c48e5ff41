// The pool. Postgres going away is an error of the query that met it, never of the process.

import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import pg from "pg";
import * as schema from "./schema.ts";

/** Ordinary queries through Drizzle, hand-written ones through `$client`: numeric and int8 arrive as strings there. */
export type Db = NodePgDatabase<typeof schema> & { $client: pg.Pool };

export type ConnectOptions = {
  /** Most connections at once; 10 by default. A worker has three batches in transactions, and its fence commits on one while another keeps its lock. */
  max?: number;
  /** Shown in pg_stat_activity; `drawdown` by default. */
  applicationName?: string;
  /**
   * How long an answer may take before the query fails and its connection is thrown away; 60 s by default, 0 for as long as
   * it takes. A host that vanishes without a word would else hold a query for the quarter of an hour that TCP tries again.
   */
  queryTimeoutMs?: number;
  /** Told of a connection that broke, used or idle; the pool replaces it. */
  onConnectionError?: (error: Error) => void;
};

/** An idle connection to a dead host is noticed by TCP's probes, one that waits for an answer by its time-out. */
export const connection = { connectionTimeoutMillis: 5_000, keepAlive: true, keepAliveInitialDelayMillis: 10_000 };

/** Opens no connection yet: the first query does, and throws after 5 s when it cannot. */
export function connectDb(url: string, options: ConnectOptions = {}): Db {
  const pool = new pg.Pool({
    ...connection,
    connectionString: url,
    max: options.max ?? 10,
    idleTimeoutMillis: 30_000,
    application_name: options.applicationName ?? "drawdown",
    // A transaction that a stuck process left open would hold row locks that every settle waits for.
    idle_in_transaction_session_timeout: 60_000,
    query_timeout: options.queryTimeoutMs ?? 60_000,
  });
  const report = options.onConnectionError ?? (() => {});
  // Idle connections report to the pool; one that is checked out reports to itself, and unheard it would end the process.
  pool.on("error", report);
  pool.on("connect", (client) => client.on("error", () => {}));
  return drizzle(pool, { schema });
}

/** Waits for running queries. Harmless twice. */
export async function closeDb(db: Db): Promise<void> {
  if (!db.$client.ending) await db.$client.end();
}
