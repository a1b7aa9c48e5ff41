import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { closeDb, connectDb, type Db, listSchedules, runScheduleNow, takeDueSchedules } from "@drawdown/db";
import { type TestDatabase, testDatabase, waitFor } from "@drawdown/local-stack";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runJobs } from "../src/jobs/runner.ts";
import { beatCron, enterSchedules, runStartSchedules, type Schedule, scheduleTasks } from "../src/jobs/schedules.ts";

let database: TestDatabase;
let db: Db;
const queues = new Set<{ stop: () => Promise<void> }>();
beforeEach(async () => {
  database = await testDatabase();
  db = connectDb(database.url);
});
afterEach(async () => {
  await Promise.all([...queues].map((queue) => queue.stop()));
  await closeDb(db);
  await database.drop();
});

const within = { timeoutMs: 15_000 };
const hourly = { intervalMs: 3_600_000, firstDelayMs: 1_800_000, settings: {} };
const stateOf = async (name: string) => (await listSchedules(db)).find((one) => one.name === name);
const jobs = async () => (await db.$client.query("SELECT task_identifier, key FROM graphile_worker.jobs")).rows;
const query = async (sql: string) => (await db.$client.query(sql)).rows;

/** One worker's part. */
async function startQueue(schedules: readonly Schedule[]) {
  const closing = new AbortController();
  const errors: unknown[] = [];
  const onError = (error: unknown) => void errors.push(error);
  let started = () => {};
  const ready = new Promise<void>((resolve) => {
    started = resolve;
  });
  const ended = runJobs({
    databaseUrl: database.url,
    taskList: scheduleTasks(db, schedules, closing.signal, onError),
    parsedCronItems: beatCron(),
    onStarting: () => enterSchedules(db, schedules),
    onStarted: async () => {
      await runStartSchedules(db, schedules);
      started();
    },
    signal: closing.signal,
    log: { debug: () => undefined, warn: () => undefined },
    onError,
  });
  const queue = {
    errors,
    stop: async () => {
      queues.delete(queue);
      closing.abort();
      await ended;
    },
  };
  queues.add(queue);
  await ready;
  return queue;
}

/** A schedule that counts its runs; each waits until `release` when `held` was asked for. */
function counting(name: string, more: Partial<Schedule> = {}) {
  const runs: AbortSignal[] = [];
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const schedule: Schedule = {
    name,
    ...hourly,
    run: async (signal) => {
      runs.push(signal);
      return { runs: runs.length };
    },
    ...more,
  };
  const holding: Schedule = {
    ...schedule,
    run: (signal) => schedule.run(signal).then(async (result) => await held.then(() => result)),
  };
  return { runs, schedule, holding, release };
}

/** As if the last beat had come long ago, and the schedule were due since. */
async function makeDue(): Promise<void> {
  await query("UPDATE data.schedule SET next_run_at = now() - interval '90 seconds'");
  await query(
    `UPDATE graphile_worker._private_known_crontabs SET known_since = now() - interval '1 hour', last_execution = now() - interval '1 hour'`,
  );
}

describe("schedules", () => {
  test("run once a cluster, however many workers there are", async () => {
    const { runs, schedule } = counting("count");
    const first = await startQueue([schedule]);
    await first.stop();
    expect(runs).toHaveLength(0);
    await makeDue();
    const before = new Date();
    await Promise.all([1, 2, 3].map(() => startQueue([schedule])));
    await waitFor(() => runs.length > 0, { ...within, what: "the run that is due" });
    // Nothing is left that could run it again: no job, and the next run is an interval away.
    await waitFor(async () => (await jobs()).length === 0, { ...within, what: "an empty queue" });
    expect(((await stateOf("count"))?.nextRunAt.getTime() ?? 0) - before.getTime()).toBeGreaterThan(3_400_000);
    expect(runs).toHaveLength(1);
  });

  test("are taken by one of many beats, when they are due, and planned an interval after it", async () => {
    const { schedule } = counting("count");
    await (await startQueue([schedule])).stop();
    const due = (await stateOf("count"))?.nextRunAt ?? new Date(0);
    const beats = async (at: Date) =>
      (await Promise.all([1, 2, 3, 4, 5].map(() => takeDueSchedules(db, [schedule], at)))).flat();
    expect(await beats(new Date(due.getTime() - 60_000))).toEqual([]);
    expect(await beats(due)).toEqual(["count"]);
    expect((await stateOf("count"))?.nextRunAt.getTime()).toBe(due.getTime() + 3_600_000);
    expect(await jobs()).toEqual([{ task_identifier: "schedule_count", key: "schedule_count" }]);
  });

  test("that run at each start do so at once, and others wait for their delay", async () => {
    const monitoring = counting("monitoring", { atStart: true });
    const cleanup = counting("cleanup");
    const started = Date.now();
    await startQueue([monitoring.schedule, cleanup.schedule]);
    await waitFor(() => monitoring.runs.length === 1, { ...within, what: "the run at the start" });
    await waitFor(async () => (await jobs()).length === 0, { ...within, what: "an empty queue" });
    expect(cleanup.runs).toHaveLength(0);
    const delayMs = ((await stateOf("cleanup"))?.nextRunAt.getTime() ?? 0) - started;
    expect(delayMs).toBeGreaterThanOrEqual(1_800_000);
    expect(delayMs).toBeLessThan(1_900_000);
  });

  test("Section 6: a timer started with a delay is stopped by a stop: nothing holds the process, and the delayed run is not made", async () => {
    const script = fileURLToPath(new URL("schedules-process.ts", import.meta.url));
    const child = spawn(process.execPath, [script, database.url], { stdio: ["pipe", "pipe", "inherit"] });
    let said = "";
    child.stdout.on("data", (bytes) => {
      said += String(bytes);
    });
    const exited = once(child, "exit");
    await waitFor(() => said.includes("started"), { ...within, what: "the schedules to start" });
    expect((await stateOf("cleanup"))?.lastRunAt).toBeNull();
    child.stdin.write("stop\n");
    await waitFor(() => said.includes("stopped"), { ...within, what: "the schedules to stop" });
    await makeDue();
    const late = setTimeout(() => child.kill("SIGKILL"), 5_000);
    expect(await exited).toEqual([0, null]);
    clearTimeout(late);
    expect(said).toBe("started\nstopped\n");
    expect(await jobs()).toEqual([]);
  });

  test("Rule 5: a stop tells what runs, and awaits it", async () => {
    const { runs, holding, release } = counting("reconcile", { atStart: true });
    const queue = await startQueue([holding]);
    await waitFor(() => runs.length === 1, { ...within, what: "the run to begin" });
    let stopped = false;
    const stopping = queue.stop().finally(() => {
      stopped = true;
    });
    expect(runs[0]?.aborted).toBe(true);
    expect(await stateOf("reconcile")).toMatchObject({ running: true });
    expect(stopped).toBe(false);
    release();
    await stopping;
    expect(await stateOf("reconcile")).toMatchObject({ running: false, lastResult: { outcome: "stopped", runs: 1 } });
  });

  test("do not overlap: what is asked for while it runs, also by another worker, does nothing", async () => {
    const { runs, holding, release } = counting("cleanup", { atStart: true });
    await startQueue([holding]);
    await waitFor(() => runs.length === 1, { ...within, what: "the run to begin" });
    await startQueue([holding]);
    await runScheduleNow(db, "cleanup");
    // The job in hand stays; those that were added meanwhile ended.
    await waitFor(async () => (await jobs()).length === 1, { ...within, what: "the other jobs to end" });
    release();
    await waitFor(async () => (await jobs()).length === 0, { ...within, what: "an empty queue" });
    expect(runs).toHaveLength(1);
  });

  test("that fail say so in their state, are not repeated at once, and harm no other", async () => {
    const other = counting("monitoring", { atStart: true });
    const failing = counting("reconcile", {
      atStart: true,
      run: async () => {
        throw new Error("no luck");
      },
    });
    const queue = await startQueue([failing.schedule, other.schedule]);
    await waitFor(async () => (await jobs()).length === 0, { ...within, what: "an empty queue" });
    expect(await stateOf("reconcile")).toMatchObject({ lastResult: { outcome: "failed", error: "Error: no luck" } });
    expect(await stateOf("monitoring")).toMatchObject({ lastResult: { outcome: "done" } });
    expect(queue.errors).toHaveLength(1);
  });

  test("a worker that does not know a schedule leaves its job to one that does", async () => {
    const known = counting("reconcile");
    const old = counting("cleanup");
    await startQueue([old.schedule]);
    await runScheduleNow(db, "reconcile");
    await runScheduleNow(db, "cleanup");
    await waitFor(() => old.runs.length === 1, { ...within, what: "the job that it knows" });
    await startQueue([old.schedule, known.schedule]);
    await waitFor(() => known.runs.length === 1, { ...within, what: "the other job" });
  });
});
