// The handle that every function of this package is given first: Redis, Postgres and what is known of the shards.
import type { Db } from "@drawdown/db";
import { type ChargeOutcome, chargeScript } from "./charge.ts";
import { BillingError } from "./errors.ts";
import { Fence } from "./fence.ts";
import { FIELDS_DEPTH, foldReplies } from "./folded.ts";
import { type CaptureOutcome, captureScript, holdScript, type ItemOutcome } from "./hold.ts";
import { SHARD_COUNT_KEY } from "./keys.ts";
import { type Observe, unobserved } from "./observe.ts";
import { type Query, queryOf } from "./postgres.ts";
import { Pressure } from "./pressure.ts";
import { connectRedis, type RedisAddress, type RedisClient, redisFailure, redisReady } from "./redis.ts";
import { Turns } from "./turns.ts";

export type BillingOptions = {
  db: Db;
  /** Must equal what both stores were first started with. */
  numShards?: number;
  observe?: Observe;
  /** How long a request id is remembered. */
  requestTtlMs?: number;
  /** How long to wait for Redis at the start. */
  openTimeoutMs?: number;
} & ({ redisUrl: string } | { clusterNodes: readonly string[] });

const HOUR_MS = 3_600_000;
const OPEN_TIMEOUT_MS = 10_000;

export class Billing {
  readonly db: Db;
  readonly query: Query;
  readonly redis: RedisClient;
  readonly address: RedisAddress;
  readonly numShards: number;
  readonly observe: Observe;
  readonly requestTtlMs: number;
  readonly fence: Fence;
  readonly charges: Turns<ChargeOutcome>;
  readonly holds: Turns<ItemOutcome>;
  readonly captures: Turns<CaptureOutcome>;
  /** Counts of what keys have spent that are under way (spend.ts). */
  readonly spendLoads = new Map<string, Promise<boolean>>();
  readonly pressure: Pressure;
  #rangeReader: RedisClient | undefined;
  #closed = false;

  constructor(options: BillingOptions) {
    this.db = options.db;
    this.query = queryOf(options.db);
    this.address = "redisUrl" in options ? { redisUrl: options.redisUrl } : { clusterNodes: options.clusterNodes };
    this.redis = connectRedis(this.address);
    this.numShards = options.numShards ?? 16;
    this.observe = options.observe ?? unobserved;
    this.requestTtlMs = options.requestTtlMs ?? HOUR_MS;
    this.fence = new Fence(this);
    this.charges = new Turns(this, chargeScript);
    this.holds = new Turns(this, holdScript);
    this.captures = new Turns(this, captureScript);
    this.pressure = new Pressure(this.redis);
  }

  /** Runs a plain command; a failure becomes a `BillingError`. */
  async ask<T>(command: (redis: RedisClient) => Promise<T>): Promise<T> {
    try {
      return await command(this.redis);
    } catch (error) {
      throw redisFailure(error);
    }
  }

  /** A connection for XRANGE alone, whose replies come folded (folded.ts). Made when it is first asked for. Throws `redis_unavailable`. */
  async rangeReader(): Promise<RedisClient> {
    if (this.#rangeReader === undefined && !this.#closed) {
      this.#rangeReader = connectRedis(this.address);
      foldReplies(this.#rangeReader, FIELDS_DEPTH.xrange);
    }
    const redis = this.#rangeReader ?? this.redis;
    await redisReady(redis, OPEN_TIMEOUT_MS);
    return redis;
  }

  /** Ends the connections. Harmless twice. */
  disconnect(): void {
    this.#closed = true;
    this.redis.disconnect();
    this.#rangeReader?.disconnect();
  }
}

/**
 * Connects, checks that both stores were made for `numShards`, and verifies the fence of every shard. Postgres may be down
 * when Redis already knows its shards. Throws `BillingError`: `config` for another number of shards, else what is down.
 */
export async function openBilling(options: BillingOptions): Promise<Billing> {
  const billing = new Billing(options);
  try {
    await redisReady(billing.redis, options.openTimeoutMs ?? OPEN_TIMEOUT_MS);
    await checkShardCount(billing);
    await billing.fence.start();
    await billing.pressure.start();
    return billing;
  } catch (error) {
    await closeBilling(billing);
    throw error;
  }
}

/** Ends the connections to Redis. The database handle stays its owner's. Harmless twice. */
export async function closeBilling(billing: Billing): Promise<void> {
  billing.pressure.stop();
  await billing.fence.stop();
  billing.disconnect();
}

async function checkShardCount(billing: Billing): Promise<void> {
  const wanted = String(billing.numShards);
  await billing.ask((redis) => redis.set(SHARD_COUNT_KEY, wanted, "NX"));
  const inRedis = await billing.ask((redis) => redis.get(SHARD_COUNT_KEY));
  const inPostgres = await shardCountInPostgres(billing, wanted);
  for (const [store, found] of [
    ["Redis", inRedis],
    ["Postgres", inPostgres],
  ] as const)
    if (found !== undefined && found !== wanted)
      throw new BillingError(
        "config",
        `NUM_SHARDS is ${wanted}, but ${store} was started with ${found}. Set NUM_SHARDS=${found}.`,
      );
}

async function shardCountInPostgres(billing: Billing, wanted: string): Promise<string | undefined> {
  try {
    const sql = `INSERT INTO data.setting (key, value) VALUES ('num_shards', $1) ON CONFLICT (key) DO UPDATE SET key = EXCLUDED.key RETURNING value`;
    return (await billing.query<{ value: string }>(sql, [wanted]))[0]?.value;
  } catch (error) {
    if (error instanceof BillingError) return undefined; // Postgres is down: Redis alone decides, as for charges
    throw error;
  }
}
