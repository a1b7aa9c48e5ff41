import {
  type AccountRef,
  controlOperation,
  listItems,
  readOperation,
  runOperation,
  shardOf,
  startReplay,
} from "@drawdown/billing";
import { freePort, waitFor } from "@drawdown/local-stack";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type OperatorStage, openOperatorStage } from "./operator-stage.ts";
import { answers, run, type Started, start } from "./stage.ts";

let stage: OperatorStage;
const workers: Started[] = [];
beforeEach(async () => {
  stage = await openOperatorStage();
});
afterEach(async () => {
  const running = workers.splice(0).filter(({ child }) => child.exitCode === null && child.signalCode === null);
  for (const worker of running) worker.signal("SIGTERM");
  await Promise.all(running.map(({ exited }) => exited));
  await stage.stop();
});

const act = { actor: "tester", role: "admin", reason: "a test" };

async function readyWorker(): Promise<Started> {
  const port = await freePort();
  const worker = start(["worker", "--port", String(port)], stage.env);
  workers.push(worker);
  await answers(`http://127.0.0.1:${port}/readyz`, 200);
  return worker;
}

/** An account with so many charges that an older worker acked without writing them, and an act that replays them. */
async function replayOf(count: number): Promise<{ account: AccountRef; id: string }> {
  const account = await stage.account();
  await stage.charge(account, count);
  await stage.ackUnwritten(account);
  const { operationId } = await startReplay(stage.billing, { kind: "unaccounted" }, act);
  return { account, id: operationId ?? "" };
}

const operation = (id: string) => readOperation(stage.billing.query, id);

const until = (id: string, state: string) =>
  waitFor(
    async () => {
      const found = await operation(id);
      if (found?.state !== state) throw new Error(JSON.stringify(found));
      return found;
    },
    { timeoutMs: 20_000, what: `the act ${state}` },
  );

/** Holds the row of an account, so that settling it waits, until `release`. */
async function hold(account: AccountRef) {
  const client = await stage.db.$client.connect();
  await client.query("BEGIN");
  await client.query("SELECT FROM data.account_balance WHERE id = $1 FOR UPDATE", [account.id]);
  return {
    /** Until somebody waits for it. */
    waitedFor: () =>
      waitFor(
        async () => {
          const sql =
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FOR NO KEY UPDATE%'";
          return (await stage.rows(sql)).length > 0;
        },
        { timeoutMs: 15_000, what: "an executor inside a step" },
      ),
    release: async () => {
      await client.query("COMMIT");
      client.release();
    },
  };
}

describe("bulk acts in workers", () => {
  test("Rule 8: 2,000 targets; the worker that executes them is killed in the middle; the next one ends the act, each target settled once", {
    timeout: 90_000,
  }, async () => {
    // Targets are in the order of their shards: the first account's come first.
    const first = await stage.account();
    let second = await stage.account();
    while (shardOf(second.id, 16) === shardOf(first.id, 16)) second = await stage.account();
    const inOrder = [first, second].toSorted((a, b) => shardOf(a.id, 16) - shardOf(b.id, 16));
    for (const account of inOrder) {
      await stage.charge(account, 1_000);
      await stage.ackUnwritten(account);
    }
    const { operationId, plan } = await startReplay(stage.billing, { kind: "unaccounted" }, act);
    const id = operationId ?? "";
    expect(plan.targets).toHaveLength(2_002);
    // Halfway, a row is held: there the worker is killed.
    const held = await hold(inOrder[1] ?? second);
    const killed = await readyWorker();
    await held.waitedFor();
    expect((await operation(id))?.state).toBe("running");
    killed.child.kill("SIGKILL");
    await killed.exited;
    await until(id, "waiting");
    const middle = await operation(id);
    expect(middle?.counts).toMatchObject({ targets: 2_002, applied: 1_000, left: 1_002 });
    await readyWorker();
    await held.release();
    const done = await until(id, "done");
    expect(done.counts).toMatchObject({ targets: 2_002, applied: 2_002, already: 0, failed: 0, left: 0 });
    for (const account of [first, second])
      expect(await stage.books(account)).toEqual({ rows: 1_000, moved: "0.000000000", drift: "0" });
    const items = await listItems(stage.billing.query, id, {}, { limit: 10_000 });
    expect(items.map(({ n }) => n)).toEqual(items.map((_, i) => i + 1));
  });

  test("Rule 8: paused, a worker leaves the rest alone; resumed, it goes on; aborted, it ends", {
    timeout: 60_000,
  }, async () => {
    const worker = await readyWorker();
    worker.child.kill("SIGKILL"); // the queue is installed; the next worker is one that finds the act paused
    await worker.exited;
    const { account, id } = await replayOf(500);
    const held = await hold(account);
    await readyWorker();
    await held.waitedFor();
    expect((await controlOperation(stage.billing, id, "pause", act))?.state).toBe("pausing");
    await held.release();
    const paused = await until(id, "paused");
    expect(paused.counts).toMatchObject({ targets: 501, left: 401 });
    const again = await hold(account);
    await controlOperation(stage.billing, id, "resume", act);
    await again.waitedFor();
    expect((await controlOperation(stage.billing, id, "abort", act))?.state).toBe("aborting");
    await again.release();
    const aborted = await until(id, "aborted");
    expect(aborted).toMatchObject({ counts: { targets: 501, left: 301 }, result: { aborted: true, left: 301 } });
    const jobs = () =>
      stage.rows("SELECT 1 FROM graphile_worker.jobs WHERE task_identifier = 'operation' AND attempts < max_attempts");
    await waitFor(async () => (await jobs()).length === 0, { timeoutMs: 5_000, what: "no job left of it" });
  });

  test("Rule 8: two workers and two commands on one act execute it once", { timeout: 60_000 }, async () => {
    const { account, id } = await replayOf(400);
    const executors = [readyWorker(), readyWorker()];
    const signal = new AbortController().signal;
    const here = [1, 2].map(() => runOperation(stage.billing, id, signal));
    await Promise.all([...executors, ...here]);
    const done = await until(id, "done");
    expect(done.counts).toMatchObject({ targets: 401, applied: 401, already: 0, failed: 0, left: 0 });
    expect(await stage.books(account)).toEqual({ rows: 400, moved: "0.000000000", drift: "0" });
  });

  test("Rule 8: a worker that is told to stop ends between two steps, and the act goes on at the next start", {
    timeout: 60_000,
  }, async () => {
    const { account, id } = await replayOf(500);
    const held = await hold(account);
    const worker = await readyWorker();
    await held.waitedFor();
    worker.signal("SIGTERM");
    await waitFor(() => worker.stderr().includes('"stopping"'), { timeoutMs: 5_000, what: "the worker stopping" });
    await held.release();
    expect(await worker.exited).toMatchObject({ code: 0 });
    const stopped = await operation(id);
    expect(stopped).toMatchObject({ state: "waiting", counts: { targets: 501, left: 401 } });
    await readyWorker();
    expect((await until(id, "done")).counts).toMatchObject({ applied: 501, failed: 0 });
    expect(await stage.books(account)).toEqual({ rows: 500, moved: "0.000000000", drift: "0" });
  });

  test("Rule 8: a command says which acts are not finished, and a command that is killed leaves its act to a worker", {
    timeout: 60_000,
  }, async () => {
    const { account, id } = await replayOf(300);
    const held = await hold(account);
    const command = start(["replay", "--unaccounted", "--reason", "killed"], stage.env);
    await held.waitedFor();
    command.child.kill("SIGKILL");
    await command.exited;
    await held.release();
    const { stderr, code } = await run(["replay", "--unaccounted", "--reason", "after", "--json"], stage.env);
    expect(code).toBe(0);
    expect(stderr).toContain(`Not finished: replay ${id} of tester`);
    await readyWorker();
    await waitFor(
      async () => (await stage.rows("SELECT 1 FROM data.operator_action WHERE finished_at IS NULL")).length === 0,
      {
        timeoutMs: 20_000,
        what: "every act over",
      },
    );
    const acts = await stage.rows("SELECT counts FROM data.operator_action WHERE action = 'replay'");
    expect(acts).toHaveLength(3);
    for (const { counts } of acts) expect(counts).toMatchObject({ targets: 301, failed: 0, left: 0 });
    expect(await stage.books(account)).toEqual({ rows: 300, moved: "0.000000000", drift: "0" });
  });
});

describe("drawdown migrate", () => {
  test("installs the queue too, from several processes at once, so that an act is queued before the first worker starts", async () => {
    const exits = await Promise.all([1, 2, 3].map(() => run(["migrate", "--json"], stage.env)));
    expect(exits.map(({ code, stdout }) => [code, JSON.parse(stdout).migrated])).toEqual(exits.map(() => [0, true]));
    const { id } = await replayOf(1);
    const jobs = await stage.rows("SELECT key FROM graphile_worker.jobs");
    expect(jobs).toEqual([{ key: `operation:${id}` }]);
  });
});
