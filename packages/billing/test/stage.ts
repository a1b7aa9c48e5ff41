// A stage for live tests: a database of the run's template, a Redis of its own, a billing handle, and accounts to charge.
import { randomUUID } from "node:crypto";
import { closeDb, connectDb, type Db } from "@drawdown/db";
import { type TestDatabase, type TestRedis, testDatabase, testRedis, waitFor } from "@drawdown/local-stack";
import {
  type AccountRef,
  applyCredits,
  type Billing,
  type ChargeRequest,
  type ConsumeSettings,
  closeBilling,
  consume,
  formatUnits,
  type Observe,
  openBilling,
  parseUnits,
  peekBalance,
  shardOf,
  unobserved,
} from "../src/index.ts";

export type Stage = {
  database: TestDatabase;
  redis: TestRedis;
  db: Db;
  billing: Billing;
  /** Opens another handle, as another process would. */
  another(options?: { observe?: Observe; requestTtlMs?: number }): Promise<Billing>;
  /** Makes a user's or tenant's account with an opening balance in units. */
  account(
    balance: string,
    options?: { type?: "user" | "tenant"; creditLimit?: string; currency?: string },
  ): Promise<AccountRef>;
  query<R extends object = Record<string, string | null>>(sql: string, values?: unknown[]): Promise<R[]>;
  /** Runs a worker until `stop` is awaited. */
  worker(options?: { billing?: Billing; consumer?: string; settings?: Partial<ConsumeSettings> }): Running;
  /** Runs a credits listener until `stop` is awaited. */
  listener(options?: { billing?: Billing; databaseUrl?: string; catchUpMs?: number }): Running;
  /** Until every entry of every stream is acked. */
  drained(): Promise<void>;
  /** Until, besides, every credit of an account with links is applied. */
  atRest(): Promise<void>;
  close(): Promise<void>;
};

export type Running = { stop(): Promise<void>; ended: Promise<void> };

export async function openStage(
  options: { observe?: Observe; appendfsync?: "always" | "everysec"; numShards?: number } = {},
): Promise<Stage> {
  const [database, redis] = await Promise.all([
    testDatabase(),
    testRedis({ appendfsync: options.appendfsync ?? "always" }),
  ]);
  const db = connectDb(database.url, { max: 20 });
  const open: Billing[] = [];
  const running = new Set<Running>();
  const another: Stage["another"] = async (more = {}) => {
    const { numShards = 16 } = options;
    const billing = await openBilling({ redisUrl: redis.url, db, observe: unobserved, numShards, ...more });
    open.push(billing);
    return billing;
  };
  const billing = await another(options.observe ? { observe: options.observe } : {});
  const query: Stage["query"] = async <R extends object>(sql: string, values?: unknown[]) =>
    (await db.$client.query<R>(sql, values)).rows;
  const run = (start: (signal: AbortSignal) => Promise<void>) => runUntilStopped(running, start);
  return {
    database,
    redis,
    db,
    billing,
    another,
    query,
    account: (balance, more = {}) => createAccount(db, balance, more),
    worker: (more = {}) =>
      run((signal) =>
        consume({
          billing: more.billing ?? billing,
          consumer: more.consumer ?? "worker-1",
          signal,
          settings: { blockTimeMs: 500, ...more.settings },
        }),
      ),
    listener: (more = {}) =>
      run((signal) =>
        applyCredits({
          billing: more.billing ?? billing,
          databaseUrl: more.databaseUrl ?? database.url,
          signal,
          ...(more.catchUpMs === undefined ? {} : { catchUpMs: more.catchUpMs }),
        }),
      ),
    drained: () => waitUntilDrained(billing),
    atRest: async () => {
      await waitUntilDrained(billing);
      await waitUntilApplied(db);
    },
    close: async () => {
      await Promise.allSettled([...running].map((one) => one.stop()));
      await Promise.allSettled(open.map(closeBilling));
      await closeDb(db);
      await Promise.allSettled([redis.stop(), database.drop()]);
    },
  };
}

function runUntilStopped(running: Set<Running>, start: (signal: AbortSignal) => Promise<void>): Running {
  const abort = new AbortController();
  const ended = start(abort.signal);
  ended.catch(() => {}); // the test that crashes it asks for `ended` itself
  const self: Running = {
    ended,
    stop: async () => {
      abort.abort();
      running.delete(self);
      await ended;
    },
  };
  running.add(self);
  return self;
}

export async function createAccount(
  db: Db,
  balance: string,
  {
    type = "user",
    creditLimit = "0",
    currency = "USD",
  }: { type?: "user" | "tenant"; creditLimit?: string; currency?: string },
): Promise<AccountRef> {
  const ownerId = randomUUID();
  const id = randomUUID();
  const owner = type === "user" ? "owner_userid" : "owner_tenantid";
  if (type === "user")
    await db.$client.query("INSERT INTO data.user_profile (id, email, name) VALUES ($1, $2, $2)", [
      ownerId,
      `${ownerId}@example.test`,
    ]);
  else await db.$client.query("INSERT INTO data.tenant (id, name) VALUES ($1, $2)", [ownerId, ownerId]);
  await db.$client.query(
    `INSERT INTO data.account_balance (id, ${owner}, currency, balance, credit_limit) VALUES ($1, $2, $3, $4, $5)`,
    [id, ownerId, currency, balance, creditLimit],
  );
  return { id, ownerId, type, currency };
}

async function waitUntilDrained(billing: Billing): Promise<void> {
  await waitFor(
    async () => {
      for (let shard = 0; shard < billing.numShards; shard++) {
        const stream = `stream:deductions:${shard}`;
        const groups = await billing.redis.xinfo("GROUPS", stream).catch(() => undefined);
        if (!Array.isArray(groups)) continue; // nothing was ever written to this stream
        const [flat] = groups.map((group) => (Array.isArray(group) ? group.map(String) : []));
        const value = (name: string) => flat?.[flat.indexOf(name) + 1];
        if (value("pending") !== "0" || value("lag") !== "0") {
          const unread = await billing.redis.xrange(stream, `(${value("last-delivered-id")}`, "+", "COUNT", 1);
          if (value("pending") !== "0" || unread.length > 0)
            throw new Error(`${stream}: ${value("pending")} pending, ${unread.length > 0 ? "unread" : "all read"}`);
        }
      }
      return true;
    },
    { timeoutMs: 20_000, what: "streams drained" },
  );
}

async function waitUntilApplied(db: Db): Promise<void> {
  const sql = `SELECT 1 FROM data.account_balance_audit u WHERE u.applied_at IS NULL AND u.credits_version IS NOT NULL
      AND EXISTS (SELECT FROM data.account_balance_audit l WHERE l.account_id = u.account_id AND l.account_seq IS NOT NULL) LIMIT 1`;
  await waitFor(async () => (await db.$client.query(sql)).rows.length === 0, {
    timeoutMs: 20_000,
    what: "credits applied",
  });
}

/** A charge of `cost` nanos with everything else filled in. */
export function aCharge(account: AccountRef, costNanos: bigint, more: Partial<ChargeRequest> = {}): ChargeRequest {
  const requestId = more.requestId ?? randomUUID();
  return {
    account,
    virtualKey: "vk_test",
    requestId,
    digest: "d".repeat(64),
    costNanos,
    provider: "openai",
    model: "gpt-4o",
    inputTokens: 10,
    outputTokens: 5,
    usageSource: "provider",
    ...more,
  };
}

/** Accounts with a balance in units, one in each shard. */
export async function accountsOfEachShard(stage: Stage, balance: string): Promise<AccountRef[]> {
  const accounts = new Map<number, AccountRef>();
  while (accounts.size < stage.billing.numShards) {
    const account = await stage.account(balance);
    const shard = shardOf(account.id, stage.billing.numShards);
    if (!accounts.has(shard)) accounts.set(shard, account);
  }
  return [...accounts.values()];
}

/** What is wrong with an account's chain of settled links, in words; empty when it has no gap and no mismatch. */
export async function chainProblems(stage: Stage, account: AccountRef): Promise<string[]> {
  type LinkRow = { account_seq: string; amount: string; balance_before: string; balance_after: string; usage: boolean };
  const links = await stage.query<LinkRow>(
    `SELECT account_seq, amount, balance_before, balance_after, deduction_id IS NOT NULL AS usage
       FROM data.account_balance_audit
      WHERE account_id = $1 AND account_seq > (SELECT closed_seq FROM data.account_balance WHERE id = $1) ORDER BY account_seq, id`,
    [account.id],
  );
  const problems: string[] = links.length === 0 ? ["no links"] : [];
  const [closing] = await stage.query<{ seq: string; balance: string }>(
    `SELECT to_seq AS seq, closing_balance AS balance FROM data.retention_range
      WHERE account_id = $1 AND to_seq = (SELECT closed_seq FROM data.account_balance WHERE id = $1)`,
    [account.id],
  );
  let seq = BigInt(closing?.seq ?? 0);
  let after = closing?.balance ?? "0.000000000";
  for (const link of links) {
    if (BigInt(link.account_seq) !== seq + 1n) problems.push(`seq ${link.account_seq} after ${seq}`);
    if (link.balance_before !== after)
      problems.push(`seq ${link.account_seq}: before ${link.balance_before}, previous after ${after}`);
    const step = parseUnits(link.balance_after) - parseUnits(link.balance_before);
    if (link.usage && step !== parseUnits(link.amount))
      problems.push(`seq ${link.account_seq}: step ${step}, amount ${link.amount}`);
    seq = BigInt(link.account_seq);
    after = link.balance_after;
  }
  const [books] = await stage.query<{ balance: string; total: string }>(
    `SELECT a.balance, (SELECT sum(amount) FROM data.account_balance_audit u WHERE u.account_id = a.id AND u.credits_version IS NOT NULL) AS total
       FROM data.account_balance a WHERE a.id = $1`,
    [account.id],
  );
  const redis = await peekBalance(stage.billing, account);
  if (books?.balance !== after) problems.push(`Postgres has ${books?.balance}, the last link says ${after}`);
  if (redis && formatUnits(redis.balanceNanos) !== after)
    problems.push(`Redis has ${formatUnits(redis.balanceNanos)}, the last link says ${after}`);
  if (redis && redis.seq !== seq) problems.push(`Redis is at seq ${redis.seq}, the last link is ${seq}`);
  return problems;
}
