// Books with more and more rows, and more and more workers on books of one size. What is measured of both is what workers settle out of a
// backlog; of the rows also the console's slowest page. Each point has a stage of its own, and all are there at once.
import type { ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { type AccountRef, type Billing, closeBilling, openBilling, readStreams } from "@drawdown/billing";
import { closeDb, connectDb, type Db } from "@drawdown/db";
import { drained, fill } from "./backlog.ts";
import { watched } from "./growth-busy.ts";
import type { Chart } from "./growth-chart.ts";
import { takeTurns } from "./growth-turns.ts";
import { fillAndAsk, type ListQuery } from "./lists.ts";
import { openStack, type Stack } from "./stack.ts";
import { median } from "./statistics.ts";

const ROWS = [10_000, 100_000, 1_000_000, 10_000_000];
const WORKERS = [1, 2, 4];
/** For the workers: so many that no index is a toy. */
const ROWS_OF_WORKERS = 100_000;
const ROUNDS = 3;
const SETTLED_A_TURN = 40_000;
const ACCOUNTS = 1_000;

/** What is in the books is as durable as ever. Filling them is not logged, and nothing else works in between. */
const SETTINGS = {
  wal_level: "minimal",
  max_wal_senders: "0",
  max_wal_size: "16GB",
  autovacuum: "off",
  shared_buffers: "1GB",
};

type Stage = {
  rows: number;
  stack: Stack;
  db: Db;
  billing: Billing;
  pages: ListQuery[];
  accounts: AccountRef[];
  workers: ChildProcess[];
};

export async function growRows(): Promise<Chart> {
  return await withStages(
    ROWS.map((rows) => ({ rows, workers: 1 })),
    async (stages) => {
      const slowest = await slowestPages(stages);
      const { figures, busy } = await takeTurns(ROUNDS, stages, settleBacklog);
      const lines = [
        { name: "rows settled/s", values: figures("perSecond") },
        { name: "slowest page, ms", values: slowest },
      ];
      return { name: "rows", grows: "rows in usage_log", points: ROWS, lines, busy };
    },
  );
}

export async function growWorkers(): Promise<Chart> {
  const asked = WORKERS.map((workers) => ({ rows: ROWS_OF_WORKERS, workers }));
  return await withStages(asked, async (stages) => {
    const { figures, busy } = await takeTurns(ROUNDS, stages, settleBacklog);
    const lines = [{ name: "rows settled/s", values: figures("perSecond") }];
    return { name: "workers", grows: "workers", points: WORKERS, lines, busy };
  });
}

async function withStages<T>(
  asked: readonly { rows: number; workers: number }[],
  measure: (stages: readonly Stage[]) => Promise<T>,
): Promise<T> {
  const stages: Stage[] = [];
  try {
    for (const { rows, workers } of asked) stages.push(await openStage(rows, workers));
    return await measure(stages);
  } finally {
    for (const stage of stages) await closeStage(stage);
  }
}

async function openStage(rows: number, workers: number): Promise<Stage> {
  const stack = await openStack({ postgres: SETTINGS, redisArgs: ["--auto-aof-rewrite-percentage", "0"] });
  const db = connectDb(stack.databaseUrl, { queryTimeoutMs: 0 });
  const pages = await fillAndAsk(db, rows);
  for (const table of ["usage_log", "account_balance_audit"])
    await db.$client.query(`ALTER TABLE data.${table} SET LOGGED`);
  await db.$client.query("VACUUM (ANALYZE)");
  const billing = await openBilling({ redisUrl: stack.redisUrl, db });
  const { rows: accounts } = await db.$client.query<AccountRef>(
    `SELECT id, coalesce(owner_userid, owner_tenantid) AS "ownerId", CASE WHEN owner_userid IS NULL THEN 'tenant' ELSE 'user' END AS type, currency
       FROM data.account_balance WHERE status = 'active' AND balance > 1000 ORDER BY id LIMIT ${ACCOUNTS}`,
  );
  const started = Array.from({ length: workers }, () => stack.startDrawdown("worker"));
  const stage = { rows, stack, db, billing, pages, accounts, workers: started };
  // Every account is loaded, and every worker is there.
  await fill(billing, accounts, 2 * ACCOUNTS);
  await drained(billing);
  while ((await readStreams(billing)).shards.some(({ consumers }) => consumers.length < workers)) await sleep(100);
  return stage;
}

async function closeStage({ stack, db, billing, workers }: Stage): Promise<void> {
  for (const worker of workers) worker.kill("SIGCONT");
  await closeBilling(billing);
  await closeDb(db);
  await stack.stop();
}

/** The workers stand still while the streams are filled. From when they go on to the last row's time, both by the clock of the books. */
async function settleBacklog({ db, billing, accounts, rows, workers }: Stage) {
  const { lastId } = await one<{ lastId: string }>(db, `SELECT max(id)::text AS "lastId" FROM data.usage_log`);
  for (const worker of workers) worker.kill("SIGSTOP");
  await fill(billing, accounts, SETTLED_A_TURN);
  const turn = await watched("asking process", async () => {
    const { at } = await one<{ at: Date }>(db, "SELECT clock_timestamp() AS at");
    for (const worker of workers) worker.kill("SIGCONT");
    await drained(billing);
    const found = await one<{ count: string; last: Date }>(
      db,
      `SELECT count(*) AS count, max(settled_at) AS last FROM data.usage_log WHERE id > ${lastId}`,
    );
    if (Number(found.count) !== SETTLED_A_TURN) throw new Error(`${found.count} rows were settled`);
    return { perSecond: (SETTLED_A_TURN * 1_000) / (found.last.getTime() - at.getTime()) };
  });
  // Books that a turn would make larger by a half are as they were again.
  if (rows < 1_000_000) await removeAfter(db, lastId);
  return turn;
}

async function removeAfter(db: Db, lastId: string): Promise<void> {
  await db.$client.query("DELETE FROM data.account_balance_audit WHERE usage_log_id > $1", [lastId]);
  await db.$client.query("DELETE FROM data.usage_log WHERE id > $1", [lastId]);
  await db.$client.query("VACUUM (ANALYZE)");
}

async function one<R extends Record<string, unknown>>(db: Db, sql: string): Promise<R> {
  const [row] = (await db.$client.query<R>(sql)).rows;
  if (row === undefined) throw new Error("a query that answers one row answered none");
  return row;
}

/** Of each stage, in ms: every page by its median over rounds in which the stages take turns, and of those the slowest, which is told. */
async function slowestPages(stages: readonly Stage[]): Promise<number[]> {
  const slowest = stages.map(() => ({ ms: 0, name: "" }));
  for (const i of (stages[0]?.pages ?? []).keys()) {
    const taken = stages.map((): number[] => []);
    for (let round = 0; round <= ROUNDS; round += 1)
      for (const [at, { pages }] of stages.entries()) {
        const startedAt = performance.now();
        await pages[i]?.run();
        if (round > 0) taken[at]?.push(performance.now() - startedAt);
      }
    for (const [at, times] of taken.entries()) {
      const ms = median(times);
      if (ms > (slowest[at]?.ms ?? 0)) slowest[at] = { ms, name: stages[at]?.pages[i]?.name ?? "" };
    }
  }
  for (const [at, { ms, name }] of slowest.entries())
    process.stderr.write(`slowest of ${stages[at]?.rows} rows: ${name}, ${ms.toFixed(1)} ms\n`);
  return slowest.map(({ ms }) => ms);
}
