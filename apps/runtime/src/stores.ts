/** Both stores, opened and closed together: for the length of a command, or of a process. */
import { type Billing, closeBilling, type Observe, openBilling, readDurability } from "@drawdown/billing";
import { closeDb, connectDb, type Db } from "@drawdown/db";
import { type Config, readConfig } from "./config.ts";
import type { Logger } from "./log.ts";

export type StoresOptions = {
  /** Shown by Postgres beside each connection. */
  applicationName: string;
  maxConnections?: number;
  observe?: Observe;
  /** How long to wait for Redis, in milliseconds. */
  openTimeoutMs?: number;
  onConnectionError?: (error: Error) => void;
};

export type Stores = { db: Db; billing: Billing; close: () => Promise<void> };

/** Throws at once what Postgres says when it cannot be used: unreachable, refused, not migrated. */
export async function openStores(config: Config, options: StoresOptions): Promise<Stores> {
  const db = connectDb(config.databaseUrl, {
    applicationName: options.applicationName,
    ...(options.maxConnections === undefined ? {} : { max: options.maxConnections }),
    ...(options.onConnectionError === undefined ? {} : { onConnectionError: options.onConnectionError }),
  });
  try {
    await db.$client.query("SELECT FROM data.account_balance LIMIT 0");
    const billing = await openBilling({
      ...config.redis,
      db,
      numShards: config.numShards,
      requestTtlMs: config.requestTtlMs,
      ...(options.observe === undefined ? {} : { observe: options.observe }),
      ...(options.openTimeoutMs === undefined ? {} : { openTimeoutMs: options.openTimeoutMs }),
    });
    return {
      db,
      billing,
      close: async () => {
        await closeBilling(billing);
        await closeDb(db);
      },
    };
  } catch (error) {
    await closeDb(db);
    throw error;
  }
}

/** Says at the start of a process what Redis may lose or evict. */
export async function warnOfRedis(billing: Billing, log: Logger): Promise<void> {
  for (const warning of (await readDurability(billing)).warnings) log.warn(warning);
}

/** Runs a command's work with a database alone. Few connections: a command asks little. */
export async function withDatabase<T>(work: (db: Db, config: Config) => Promise<T>): Promise<T> {
  const config = readConfig(["database"]);
  const db = connectDb(config.databaseUrl, { max: 2, applicationName: "drawdown cli" });
  try {
    return await work(db, config);
  } finally {
    await closeDb(db);
  }
}

/** Runs a command's work with both stores. */
export async function withBilling<T>(work: (billing: Billing, db: Db) => Promise<T>): Promise<T> {
  const config = readConfig(["database", "redis"]);
  const stores = await openStores(config, {
    applicationName: "drawdown cli",
    maxConnections: 4,
    openTimeoutMs: 2_000,
  });
  try {
    return await work(stores.billing, stores.db);
  } finally {
    await stores.close();
  }
}
