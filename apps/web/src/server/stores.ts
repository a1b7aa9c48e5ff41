// Both stores, opened once for the process at the first request that needs them. Either may be away: Postgres then fails the query that
// met it, Redis the opening, which the next request tries again. Pages show what the other one still tells.
import type { Billing } from "@drawdown/billing";
import type { Db } from "@drawdown/db";
import { readConfig } from "@/server/config.ts";
import { books, domain } from "@/server/domain.ts";

/** An operator who waits for a page must learn soon that Redis is away. */
const OPEN_TIMEOUT_MS = 2_000;
const QUERY_TIMEOUT_MS = 15_000;

type Stores = { db: Db | undefined; billing: Promise<Billing> | undefined };

// Next bundles pages and route handlers apart, each with its own copy of this module: the process still has one pool.
const held = globalThis as typeof globalThis & { drawdownStores?: Stores };

function stores(): Stores {
  held.drawdownStores ??= { db: undefined, billing: undefined };
  return held.drawdownStores;
}

/** The books. Opens no connection yet. */
export function db(): Db {
  const kept = stores();
  kept.db ??= books.connectDb(readConfig().databaseUrl, {
    applicationName: "drawdown console",
    queryTimeoutMs: QUERY_TIMEOUT_MS,
  });
  return kept.db;
}

/** Redis and the books together. Throws `redis_unavailable`, `fenced` or `config` when they cannot be opened now. */
export async function billing(): Promise<Billing> {
  const kept = stores();
  const { redis, numShards } = readConfig();
  const opening = (kept.billing ??= domain.openBilling({
    ...redis,
    db: db(),
    numShards,
    openTimeoutMs: OPEN_TIMEOUT_MS,
  }));
  try {
    return await opening;
  } catch (error) {
    if (kept.billing === opening) kept.billing = undefined;
    throw error;
  }
}
