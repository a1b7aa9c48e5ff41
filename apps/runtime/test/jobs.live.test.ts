import { createServer, type Socket, connect as tcpConnect } from "node:net";
import { closeDb, connectDb, type Db } from "@drawdown/db";
import { type TestDatabase, testDatabase, waitFor } from "@drawdown/local-stack";
import type { TaskList } from "graphile-worker";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runJobs } from "../src/jobs/runner.ts";

let database: TestDatabase;
let db: Db;
const running = new Set<{ stop: () => Promise<void> }>();
beforeEach(async () => {
  database = await testDatabase();
  db = connectDb(database.url);
});
afterEach(async () => {
  await Promise.all([...running].map((one) => one.stop()));
  await closeDb(db);
  await database.drop();
});

type Started = { stop: () => Promise<void>; errors: unknown[]; starts: () => number; ready: () => Promise<unknown> };

function start(taskList: TaskList, databaseUrl = database.url): Started {
  const closing = new AbortController();
  const errors: unknown[] = [];
  let starts = 0;
  const ended = runJobs({
    databaseUrl,
    taskList,
    signal: closing.signal,
    log: { debug: () => undefined, warn: () => undefined },
    onError: (error) => errors.push(error),
    onStarted: async () => {
      starts += 1;
    },
  });
  const self: Started = {
    errors,
    starts: () => starts,
    ready: () => waitFor(() => starts > 0, { timeoutMs: 15_000, what: "the queue to start" }),
    stop: async () => {
      running.delete(self);
      closing.abort();
      await ended;
    },
  };
  running.add(self);
  return self;
}

const add = (task: string) => db.$client.query("SELECT graphile_worker.add_job($1)", [task]);
const jobs = async () => (await db.$client.query("SELECT task_identifier FROM graphile_worker.jobs")).rows.length;
/** Stands between the queue and Postgres, and can be cut. */
async function openWire() {
  const target = new URL(database.url);
  const sockets = new Set<Socket>();
  let whole = true;
  const server = createServer((near) => {
    if (!whole) {
      near.destroy();
      return;
    }
    const far = tcpConnect(Number(target.port), target.hostname);
    near.pipe(far).pipe(near);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on("error", () => {}).on("close", () => other.destroy());
    }
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const address = server.address();
  const url = new URL(database.url);
  url.hostname = "127.0.0.1";
  url.port = String(typeof address === "object" ? address?.port : "");
  return {
    url: url.href,
    cut: () => {
      whole = false;
      for (const socket of sockets) socket.destroy();
    },
    mend: () => {
      whole = true;
    },
    close: () => server.close(),
  };
}

const within = { timeoutMs: 15_000 };

describe("the queue of a worker process", () => {
  test("Rule 5: a stop awaits the jobs in hand, and leaves the others for the next start", async () => {
    let finish = () => {};
    const held = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const began: string[] = [];
    const ended: string[] = [];
    const jobsOf = async (_: unknown, { job }: { job: { id: string } }) => {
      began.push(job.id);
      await held;
      ended.push(job.id);
    };
    const queue = start({ slow: jobsOf });
    await queue.ready();
    await add("slow");
    await waitFor(() => began.length === 1, { ...within, what: "the job to begin" });
    let stopped = false;
    const stopping = queue.stop().finally(() => {
      stopped = true;
    });
    await add("slow");
    expect(stopped).toBe(false);
    finish();
    await stopping;
    expect(ended).toEqual(began);
    // The second one either was taken before the stop came through, and then awaited too, or is there for the next start.
    expect(await jobs()).toBe(2 - ended.length);
  });

  test("Rule 4: connections that break in the middle of a job end neither the process nor the queue", async () => {
    let finish = () => {};
    const held = new Promise<void>((resolve) => {
      finish = resolve;
    });
    let began = false;
    const done: string[] = [];
    const wire = await openWire();
    const tasks: TaskList = {
      slow: async () => {
        began = true;
        await held;
        done.push("slow");
      },
      quick: async () => {
        done.push("quick");
      },
    };
    const queue = start(tasks, wire.url);
    await queue.ready();
    await add("slow");
    await waitFor(() => began, { ...within, what: "the job to begin" });
    wire.cut();
    finish();
    await waitFor(() => done.includes("slow"), { ...within, what: "the job's own work to end" });
    await waitFor(() => queue.errors.length > 0, { ...within, what: "the queue to say that it waits" });
    wire.mend();
    await add("quick");
    await waitFor(() => done.includes("quick"), { ...within, what: "a job of after the break" });
    await queue.stop();
    wire.close();
  });

  test("a Postgres that is not there is waited for, and a stop meanwhile is prompt", async () => {
    const queue = start({ quick: async () => undefined }, "postgres://nobody@127.0.0.1:1/none");
    await waitFor(() => queue.errors.length > 0, { ...within, what: "the first refusal" });
    const before = performance.now();
    await queue.stop();
    expect(performance.now() - before).toBeLessThan(3_000);
    expect(queue.starts()).toBe(0);
  });
});
