/** The stores for the length of one command. */
import type { Billing } from "@drawdown/billing";
import type { Db } from "@drawdown/db";
import { readConfig } from "./config.ts";

/** Runs work with a database. Few connections: a command asks little. */
export async function withDatabase<T>(work: (db: Db) => Promise<T>): Promise<T> {
  const config = readConfig(["database"]);
  const { closeDb, connectDb } = await import("@drawdown/db");
  const db = connectDb(config.databaseUrl, { max: 2, applicationName: "drawdown cli" });
  try {
    return await work(db);
  } finally {
    await closeDb(db);
  }
}

/** Runs work with both stores. */
export async function withBilling<T>(work: (billing: Billing, db: Db) => Promise<T>): Promise<T> {
  const config = readConfig(["database", "redis"]);
  const [{ closeBilling, openBilling }, { closeDb, connectDb }] = await Promise.all([
    import("@drawdown/billing"),
    import("@drawdown/db"),
  ]);
  const db = connectDb(config.databaseUrl, { max: 4, applicationName: "drawdown cli" });
  try {
    const billing = await openBilling({ ...config.redis, db, numShards: config.numShards });
    try {
      return await work(billing, db);
    } finally {
      await closeBilling(billing);
    }
  } finally {
    await closeDb(db);
  }
}
