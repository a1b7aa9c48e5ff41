// The two stores of `npm start`: those that are named in the settings, else a Postgres and a Redis of this checkout.

import { createHash } from "node:crypto";
import { join } from "node:path";
import { startPostgres, startRedis } from "@drawdown/local-stack";
import type { Config } from "../config.ts";
import type { Cleanup } from "./cleanup.ts";
import type { Progress } from "./progress.ts";

export type Stores = {
  databaseUrl: string;
  /** Empty when the settings name a cluster, which the processes read from there. */
  redisUrl: string;
  /** The processes that were started for them. */
  pids: Record<string, number>;
};

export async function openStores(dir: string, config: Config, cleanup: Cleanup, progress: Progress): Promise<Stores> {
  const given = {
    database: config.databaseUrl,
    redis: "redisUrl" in config.redis ? config.redis.redisUrl : config.redis.clusterNodes.join(","),
  };
  const [postgres, redis] = await Promise.allSettled([
    openPostgres(dir, given, cleanup, progress),
    openRedis(dir, given, cleanup, progress),
  ]);
  // Both have come to their end before a failure of one of them is passed on, so that nothing starts after it.
  if (postgres.status === "rejected") throw postgres.reason;
  if (redis.status === "rejected") throw redis.reason;
  const pids = { ...pidOf("postgres", postgres.value), ...pidOf("redis", redis.value) };
  return { databaseUrl: postgres.value.url, redisUrl: "clusterNodes" in config.redis ? "" : redis.value.url, pids };
}

type Given = { database: string; redis: string };
type Store = { url: string; pid?: number };

async function openPostgres(dir: string, given: Given, cleanup: Cleanup, progress: Progress): Promise<Store> {
  if (given.database !== "") return { url: given.database };
  const folder = join(dir, `postgres${belongingTo(given.redis)}`);
  const server = await progress.during(
    "starting Postgres",
    startPostgres({ dir: folder, onProgress: (line) => progress.say(line) }),
  );
  await cleanup.add("Postgres", () => server.stop());
  return server;
}

async function openRedis(dir: string, given: Given, cleanup: Cleanup, progress: Progress): Promise<Store> {
  if (given.redis !== "") return { url: given.redis };
  const folder = join(dir, `redis${belongingTo(given.database)}`);
  const server = await progress.during(
    "starting Redis",
    startRedis({ dir: folder, onProgress: (line) => progress.say(line) }),
  );
  await cleanup.add("Redis", () => server.stop());
  return server;
}

// The two stores hold halves of one truth: a store of ours that was once beside another's database must never be beside
// a different one. The password does not say which one it is.
function belongingTo(url: string): string {
  if (url === "") return "";
  const { host = url, pathname = "" } = URL.parse(url) ?? {};
  return `-${createHash("sha256").update(`${host}${pathname}`).digest("hex").slice(0, 12)}`;
}

function pidOf(name: string, store: Store): Record<string, number> {
  return store.pid === undefined ? {} : { [name]: store.pid };
}
