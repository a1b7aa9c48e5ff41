// What one worker settles, against one INSERT … SELECT of the same rows into the same tables by psql; and how long after its answer a charge
// is in the books.
//
// Every turn begins with the same books: what the turn before wrote is removed. The worker is `drawdown worker`, stopped (SIGSTOP) while the
// streams are filled, so that its turn is warm and finds all entries there. psql's rows are the very ones that the worker wrote.
import type { ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { type Billing, charge, closeBilling, openBilling } from "@drawdown/billing";
import { closeDb, connectDb, type Db } from "@drawdown/db";
import { drained, fill, nextCharge } from "./backlog.ts";
import { accountAt } from "./charge-requests.ts";
import { type Family, judge, type Row, tell } from "./rows.ts";
import { emptyBooks, fillAccounts, insertByPsql, stageRows } from "./settle-books.ts";
import { openStack, type Stack } from "./stack.ts";
import { alternate, median, percentile } from "./statistics.ts";

const ROUNDS = 3;
const ACCOUNTS = Array.from({ length: 1_000 }, (_, n) => accountAt(n));
/** So many that the beginning and the end, when not all readers are at work, do not count for much. */
const ROWS_A_TURN = 60_000;
const WAIT_MS = 5_000;
/** So many charges a second are looked for in the books; to look for all of them would be a load of its own. */
const LOOKED_FOR = 100;
/** A row may be found so much later than it came: to look more often takes from the two cores, which are busy enough. */
const LOOK_EVERY_MS = 10;
const [VS, P99, BYTES] = ["settle_vs_insert", "settled_p99_ms", "redis_bytes_per_entry"];

type Stage = { stack: Stack; db: Db; billing: Billing; workers: ChildProcess[] };

export const settling: Family = {
  rows: [VS, P99, BYTES],
  measure: async (wanted) => {
    const stage = await openStage(1);
    try {
      if (wanted.size === 1 && wanted.has(BYTES)) return [await bytesPerEntry(stage)];
      const { rate, row } = await measureRate(stage);
      const rows = [row];
      if (wanted.has(P99)) rows.push(await measureWait(stage, rate / 2));
      if (wanted.has(BYTES)) rows.push(await bytesPerEntry(stage));
      return rows.filter((one) => wanted.has(one.row));
    } finally {
      await closeStage(stage);
    }
  },
};

async function openStage(workers: number): Promise<Stage> {
  const stack = await openStack({ redisArgs: ["--auto-aof-rewrite-percentage", "0"] });
  const db = connectDb(stack.databaseUrl);
  await fillAccounts(db, ACCOUNTS.length);
  const billing = await openBilling({ redisUrl: stack.redisUrl, db });
  const started = Array.from({ length: workers }, () => stack.startDrawdown("worker"));
  // Every account is loaded, and its opening credit is a link already.
  await fill(billing, ACCOUNTS, 2 * ACCOUNTS.length);
  await drained(billing);
  return { stack, db, billing, workers: started };
}

// The pool before its server: one whose connections break while it ends may wait for ever.
async function closeStage({ stack, db, billing, workers }: Stage): Promise<void> {
  for (const worker of workers) worker.kill("SIGCONT");
  await closeBilling(billing);
  await closeDb(db);
  await stack.stop();
}

async function workerTurn(stage: Stage): Promise<number> {
  await emptyBooks(stage.db);
  for (const worker of stage.workers) worker.kill("SIGSTOP");
  await fill(stage.billing, ACCOUNTS, ROWS_A_TURN);
  const startedAt = performance.now();
  for (const worker of stage.workers) worker.kill("SIGCONT");
  await drained(stage.billing);
  const perSecond = (ROWS_A_TURN * 1_000) / (performance.now() - startedAt);
  await stageRows(stage.db);
  return perSecond;
}

async function measureRate(stage: Stage): Promise<{ rate: number; row: Row }> {
  const found = await alternate(ROUNDS, {
    worker: () => workerTurn(stage),
    psql: async () => {
      await emptyBooks(stage.db);
      return (ROWS_A_TURN * 1_000) / (await insertByPsql(stage.db, stage.stack.databaseUrl));
    },
  });
  const [rate, theirs] = [median(found.worker), median(found.psql)];
  const against = `${rate.toFixed(0)} rows/s by one worker against ${theirs.toFixed(0)} by one INSERT … SELECT`;
  return { rate, row: judge(VS, rate / theirs, against, { least: 0.8 }) };
}

/** Charges arrive at a steady rate. From the answer of a charge until its row is seen committed. */
async function measureWait(stage: Stage, perSecond: number): Promise<Row> {
  const found: number[] = [];
  for (let round = 0; round <= ROUNDS; round += 1) {
    await emptyBooks(stage.db);
    const p99 = percentile(await waitsAt(stage, perSecond), 0.99);
    if (round > 0) found.push(p99);
    // What was not looked for too: the books cannot be emptied while a worker writes them.
    await drained(stage.billing);
  }
  const against = `from a charge's answer to its row, at ${perSecond.toFixed(0)} charges/s, half of what one worker settles`;
  return judge(P99, median(found), against, { most: 250 });
}

async function waitsAt(stage: Stage, perSecond: number): Promise<number[]> {
  const waits: number[] = [];
  const answeredAt = new Map<string, number>();
  const every = Math.ceil(perSecond / LOOKED_FOR);
  const calls: Promise<void>[] = [];
  const call = async (looked: boolean) => {
    const answer = await charge(stage.billing, nextCharge(ACCOUNTS));
    if (answer.outcome !== "charged") throw new Error(`a charge was ${answer.outcome}`);
    if (looked) answeredAt.set(answer.deductionId, performance.now());
  };
  const startedAt = performance.now();
  const due = () => Math.min(((performance.now() - startedAt) * perSecond) / 1_000, (WAIT_MS * perSecond) / 1_000);
  let lookAt = startedAt;
  for (let over = false; !over || answeredAt.size > 0; ) {
    while (calls.length < due()) calls.push(call(calls.length % every === 0));
    over = performance.now() - startedAt >= WAIT_MS;
    if (over) await Promise.all(calls);
    if (performance.now() >= lookAt) {
      for (const id of await seenOf(stage.db, [...answeredAt.keys()])) {
        waits.push(performance.now() - (answeredAt.get(id) ?? Number.NaN));
        answeredAt.delete(id);
      }
      lookAt = performance.now() + LOOK_EVERY_MS;
    }
    await sleep(2);
  }
  return waits;
}

async function seenOf(db: Db, ids: string[]): Promise<string[]> {
  if (ids.length === 0) return [];
  const sql = "SELECT deduction_id AS id FROM data.usage_log WHERE deduction_id = ANY($1)";
  return (await db.$client.query<{ id: string }>(sql, [ids])).rows.map(({ id }) => id);
}

async function bytesPerEntry({ billing }: Stage): Promise<Row> {
  const stream = "stream:deductions:0";
  const [bytes, entries] = await Promise.all([
    billing.redis.memory("USAGE", stream, "SAMPLES", 0),
    billing.redis.xlen(stream),
  ]);
  return tell(BYTES, Number(bytes) / entries, `MEMORY USAGE of a stream with ${entries} entries`);
}
