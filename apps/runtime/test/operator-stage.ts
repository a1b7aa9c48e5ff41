/** For the operators' commands: both stores, an account to charge, and what older and dead workers leave behind. */
import { randomUUID } from "node:crypto";
import {
  type AccountRef,
  type Billing,
  charge,
  closeBilling,
  GROUP,
  openBilling,
  parseUnits,
  peekBalance,
  shardOf,
  streamKey,
} from "@drawdown/billing";
import { closeDb, connectDb, type Db } from "@drawdown/db";
import { type TestRedis, testDatabase, testRedis } from "@drawdown/local-stack";
import { run, type Started, start } from "./stage.ts";

export type OperatorStage = {
  db: Db;
  redis: TestRedis;
  billing: Billing;
  env: Record<string, string>;
  account: () => Promise<AccountRef>;
  charge: (account: AccountRef, count: number) => Promise<string[]>;
  /** As a worker that died: everything new of the account's shard is delivered to it. */
  deliver: (account: AccountRef, consumer: string) => Promise<string[]>;
  /** As a worker of the older design whose insert failed: delivered, acked, not written. */
  ackUnwritten: (account: AccountRef) => Promise<string[]>;
  add: (account: AccountRef, fields: Record<string, string>) => Promise<string>;
  rows: <R extends object = Record<string, unknown>>(sql: string, values?: unknown[]) => Promise<R[]>;
  /** Runs a command whose standard output is one JSON document. */
  json: (args: string[]) => Promise<{ code: number | null; out: Record<string, unknown>; stderr: string }>;
  worker: () => Started;
  /** How often each own deduction is in the books, and what the books and Redis differ by, when nothing is unsettled. */
  books: (account: AccountRef) => Promise<{ rows: number; moved: string; drift: string }>;
  stop: () => Promise<void>;
};

const UNIT = 1_000_000_000n;

export async function openOperatorStage(): Promise<OperatorStage> {
  const [database, redis] = await Promise.all([testDatabase(), testRedis()]);
  const db = connectDb(database.url);
  const billing = await openBilling({ redisUrl: redis.url, db });
  const env = { DATABASE_URL: database.url, REDIS_URL: redis.url };
  const workers = new Set<Started>();
  const rows: OperatorStage["rows"] = async <R extends object>(sql: string, values?: unknown[]) =>
    (await db.$client.query<R>(sql, values)).rows;
  const keyOf = (account: AccountRef) => streamKey(shardOf(account.id, billing.numShards));
  const deliver: OperatorStage["deliver"] = async (account, consumer) => {
    const key = keyOf(account);
    await billing.redis.xgroup("CREATE", key, GROUP, "0", "MKSTREAM").catch(() => {}); // it is there already
    const reply = await billing.redis.xreadgroup("GROUP", GROUP, consumer, "COUNT", 100_000, "STREAMS", key, ">");
    const [[, entries] = ["", []]] = (reply ?? []) as [string, [string, string[]][]][];
    return entries.map(([id]) => id);
  };
  return {
    db,
    redis,
    billing,
    env,
    rows,
    deliver,
    account: async () => {
      const account: AccountRef = { id: randomUUID(), ownerId: randomUUID(), type: "user", currency: "USD" };
      await rows("INSERT INTO data.user_profile (id, name) VALUES ($1, 'test')", [account.ownerId]);
      const sql =
        "INSERT INTO data.account_balance (id, owner_userid, currency, balance) VALUES ($1, $2, 'USD', 10000)";
      await rows(sql, [account.id, account.ownerId]);
      return account;
    },
    charge: (account, count) => Promise.all(Array.from({ length: count }, () => chargeUnit(billing, account))),
    ackUnwritten: async (account) => {
      const ids = await deliver(account, "older-worker");
      for (let at = 0; at < ids.length; at += 1_000)
        await billing.redis.xack(keyOf(account), GROUP, ...ids.slice(at, at + 1_000));
      return ids;
    },
    add: async (account, fields) =>
      String(await billing.redis.call("XADD", keyOf(account), "*", ...Object.entries(fields).flat())),
    json: async (args) => {
      const { code, stdout, stderr } = await run([...args, "--json"], env);
      try {
        return { code, out: JSON.parse(stdout) as Record<string, unknown>, stderr };
      } catch {
        throw new Error(`${args.join(" ")} exited ${code} and printed ${stdout} ${stderr}`);
      }
    },
    worker: () => {
      const worker = start(["worker"], env);
      workers.add(worker);
      return worker;
    },
    books: (account) => compareBooks(billing, rows, account),
    stop: async () => {
      const running = [...workers].filter(({ child }) => child.exitCode === null && child.signalCode === null);
      for (const worker of running) worker.signal("SIGTERM");
      await Promise.all(running.map(({ exited }) => exited));
      await closeBilling(billing);
      await closeDb(db);
      await Promise.allSettled([redis.stop(), database.drop()]);
    },
  };
}

async function chargeUnit(billing: Billing, account: AccountRef): Promise<string> {
  const outcome = await charge(billing, {
    account,
    virtualKey: "vk_test",
    requestId: randomUUID(),
    digest: "d".repeat(64),
    costNanos: UNIT,
    provider: "openai",
    model: "gpt-4o",
    inputTokens: 10,
    outputTokens: 5,
    usageSource: "provider",
  });
  if (outcome.outcome !== "charged") throw new Error(outcome.outcome);
  return outcome.deductionId;
}

async function compareBooks(billing: Billing, rows: OperatorStage["rows"], account: AccountRef) {
  const [row] = await rows<{ rows: number; moved: string; debits: string }>(
    `SELECT count(*)::int AS rows, b.total_debits - coalesce(sum(u.cost), 0) AS moved, b.total_debits AS debits
       FROM data.account_balance b LEFT JOIN data.usage_log u ON u.account_id = b.id AND u.settled_at IS NOT NULL
      WHERE b.id = $1 GROUP BY b.id`,
    [account.id],
  );
  const inRedis = (await peekBalance(billing, account))?.debitsNanos ?? -1n;
  return { rows: row?.rows ?? -1, moved: row?.moved ?? "", drift: String(inRedis - parseUnits(row?.debits ?? "")) };
}
