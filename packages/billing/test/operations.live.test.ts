import type { PoolClient } from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type AccountRef,
  controlOperation,
  discardLetters,
  listDeadLetters,
  listItems,
  listOperations,
  listPending,
  readOperation,
  recordAct,
  runOperation,
  startReplay,
} from "../src/index.ts";
import { MAX_TARGETS, OPERATION_LOCK, startOperation } from "../src/operations.ts";
import {
  ackUnwritten,
  addEntry,
  anAct,
  booked,
  chargeUnits,
  deliverTo,
  drain,
  drift,
  execute,
  keyOf,
  noDrift,
  olderFields,
  settleAll,
  untilDead,
} from "./replay-stage.ts";
import { openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

const never = new AbortController().signal;

/** An account with so many charges that an older worker acked without writing them. */
async function unaccounted(count: number): Promise<AccountRef> {
  const account = await stage.account("10000");
  await chargeUnits(stage, account, 1);
  await settleAll(stage);
  await chargeUnits(stage, account, count);
  await ackUnwritten(stage, account);
  return account;
}

/** Runs an act up to its first settle, which waits for the account's row until `goOn`. */
async function runBlocked(account: AccountRef, id: string, blockedBy?: PoolClient) {
  const blocker = blockedBy ?? (await stage.db.$client.connect());
  if (!blockedBy) {
    await blocker.query("BEGIN");
    await blocker.query("SELECT FROM data.account_balance WHERE id = $1 FOR UPDATE", [account.id]);
  }
  const { promise: gathered, resolve } = Promise.withResolvers<void>();
  const executor = await stage.another({
    observe: (seen) => {
      if (seen === "replay.gathered") resolve();
    },
  });
  const running = runOperation(executor, id, never).catch((error: unknown) => error);
  await gathered;
  const goOn = async () => {
    await blocker.query("COMMIT");
    blocker.release();
  };
  return { running, goOn, blocker };
}

/** Cuts the connection that holds an act's lock, and waits until the lock is free. */
async function cutLock(): Promise<void> {
  const holders = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = $1 AND granted";
  await stage.query(`SELECT pg_terminate_backend(pid) FROM (${holders}) h`, [OPERATION_LOCK]);
  await expect.poll(() => stage.query(holders, [OPERATION_LOCK]), { timeout: 15_000 }).toEqual([]);
}

describe("acts on record", () => {
  test("Rule 8: an act has an actor, a reason and a frozen target set; what arrives later is untouched", async () => {
    const account = await unaccounted(3);
    const { operationId } = await startReplay(stage.billing, { kind: "unaccounted" }, anAct());
    await chargeUnits(stage, account, 1);
    const [later] = await ackUnwritten(stage, account);
    await execute(stage, operationId);
    const [row] = await stage.query<Record<string, unknown>>("SELECT * FROM data.operator_action");
    expect(row).toMatchObject({
      id: operationId,
      actor: "tester",
      role: "admin",
      action: "replay",
      reason: "a test",
      counts: { targets: 3, applied: 3, already: 0, failed: 0, left: 0 },
      before: { eligible: 3, already_applied: 0 },
      after: { already_applied: 3, not_applied: 0 },
      result: { targets: 3, applied: 3, already: 0, failed: 0, left: 0 },
      started_at: expect.any(Date),
      finished_at: expect.any(Date),
    });
    const items = await listItems(stage.billing.query, operationId ?? "");
    expect(items.map(({ n, outcome }) => [n, outcome])).toEqual([1, 2, 3].map((n) => [n, "applied"]));
    expect(row?.targets).toEqual(items.map(({ target }) => `${keyOf(account)}/${String(target.entry_id)}`));
    expect(row?.targets).not.toContain(`${keyOf(account)}/${later}`);
    expect((await booked(stage, account)).rows).toBe(4);
    expect(await drift(stage, account)).toEqual(noDrift);
  });

  test("Rule 8: without a reason or an actor nothing happens", async () => {
    const account = await unaccounted(1);
    await addEntry(stage, account, olderFields(account, { cost: "lots" }));
    await drain(stage);
    const [letter] = await listDeadLetters(stage.billing.query);
    for (const act of [anAct({ reason: "  " }), anAct({ actor: "" })]) {
      await expect(startReplay(stage.billing, { kind: "unaccounted" }, act)).rejects.toThrow(/needed/);
      await expect(discardLetters(stage.billing, [letter?.id ?? ""], act)).rejects.toThrow(/needed/);
    }
    expect(await stage.query("SELECT 1 FROM data.operator_action")).toEqual([]);
    expect(await listDeadLetters(stage.billing.query)).toMatchObject([{ state: "open" }]);
  });

  test("Rule 8: the same act asked for again, by its id, is one act", async () => {
    await unaccounted(2);
    const act = anAct({ id: crypto.randomUUID() });
    const [one, two] = await Promise.all([
      startReplay(stage.billing, { kind: "unaccounted" }, act),
      startReplay(stage.billing, { kind: "unaccounted" }, act),
    ]);
    expect([one.operationId, two.operationId]).toEqual([act.id, act.id]);
    expect(await stage.query("SELECT count(*)::int AS n FROM data.operation_item")).toEqual([{ n: 2 }]);
  });

  test("Rule 8: more targets than a person can answer for are refused", async () => {
    const targets = Array.from({ length: MAX_TARGETS + 1 }, (_, n) => ({ name: String(n), target: {} }));
    await expect(startOperation(stage.billing, anAct(), { action: "replay", targets })).rejects.toThrow(/narrow/);
    expect(await listOperations(stage.billing.query)).toEqual([]);
  });

  test("acts are listed newest first, page by page, by actor and by what is unfinished", async () => {
    await unaccounted(1);
    const { operationId } = await startReplay(stage.billing, { kind: "unaccounted" }, anAct({ actor: "first" }));
    const ids = [operationId];
    for (let i = 0; i < 5; i++)
      ids.unshift(await recordAct(stage.billing.query, anAct(), { action: "test", targets: [], result: {} }));
    const seen: (string | null)[] = [];
    for (let after: string | undefined; ; ) {
      const page = await listOperations(stage.billing.query, {}, { limit: 4, ...(after ? { after } : {}) });
      seen.push(...page.map(({ id }) => id));
      after = page.at(-1)?.id;
      if (page.length < 4) break;
    }
    expect(seen).toEqual(ids);
    expect(await listOperations(stage.billing.query, { actor: "first" })).toHaveLength(1);
    const unfinished = await listOperations(stage.billing.query, { unfinished: true });
    expect(unfinished).toMatchObject([{ id: operationId, state: "waiting", counts: { targets: 1, left: 1 } }]);
  });
});

describe("a bulk act", () => {
  test("Rule 8: 2,000 targets: paused, resumed by another executor, and each settled once", {
    timeout: 60_000,
  }, async () => {
    const account = await unaccounted(2_000);
    const { operationId } = await startReplay(stage.billing, { kind: "unaccounted" }, anAct());
    const id = operationId ?? "";
    // The account's row is locked: the executor waits inside its first step, and is told to pause there.
    const { running, goOn } = await runBlocked(account, id);
    expect((await readOperation(stage.billing.query, id))?.state).toBe("running");
    expect(await runOperation(await stage.another(), id, never)).toBe("busy");
    expect((await controlOperation(stage.billing, id, "pause", anAct({ reason: "wait" })))?.state).toBe("pausing");
    await goOn();
    expect(await running).toBe("paused");
    const paused = await readOperation(stage.billing.query, id);
    expect(paused).toMatchObject({
      state: "paused",
      finishedAt: null,
      counts: { targets: 2_000, applied: 100, left: 1_900 },
    });
    expect(await runOperation(stage.billing, id, never)).toBe("paused");
    expect(await drift(stage, account)).toEqual(noDrift);

    expect((await controlOperation(stage.billing, id, "resume", anAct()))?.state).toBe("waiting");
    expect(await runOperation(await stage.another(), id, never)).toBe("finished");
    expect((await readOperation(stage.billing.query, id))?.state).toBe("done");
    const done = await readOperation(stage.billing.query, id);
    expect(done).toMatchObject({
      state: "done",
      result: { targets: 2_000, applied: 2_000, already: 0, failed: 0, left: 0 },
    });
    expect(await booked(stage, account)).toEqual({ rows: 2_001, moved: "0.000000000" });
    expect(await drift(stage, account)).toEqual(noDrift);
    const acts = await listOperations(stage.billing.query);
    expect(acts.map(({ action, reason }) => [action, reason])).toEqual([
      ["resume", "a test"],
      ["pause", "wait"],
      ["replay", "a test"],
    ]);
  });

  test("Rule 8: aborted, what is done stays done and the rest stays as it was", async () => {
    const account = await unaccounted(250);
    const { operationId } = await startReplay(stage.billing, { kind: "unaccounted" }, anAct());
    const id = operationId ?? "";
    const stop = new AbortController();
    const stops = await stage.another({
      observe: (seen) => {
        if (seen === "operation.recorded") stop.abort();
      },
    });
    expect(await runOperation(stops, id, stop.signal)).toBe("stopped");
    const aborted = await controlOperation(stage.billing, id, "abort", anAct());
    expect(aborted).toMatchObject({
      state: "aborted",
      result: { aborted: true, targets: 250, applied: 100, left: 150 },
      after: { already_applied: 100, not_applied: 150 },
    });
    expect(await runOperation(stage.billing, id, never)).toBe("finished");
    expect(await controlOperation(stage.billing, id, "resume", anAct())).toMatchObject({ state: "aborted" });
    expect((await booked(stage, account)).rows).toBe(101);
    expect(await drift(stage, account)).toEqual(noDrift);
    const rest = await startReplay(stage.billing, { kind: "unaccounted" }, anAct());
    expect(await execute(stage, rest.operationId)).toMatchObject({ targets: 150, applied: 150 });
    expect(await drift(stage, account)).toEqual(noDrift);
  });

  test("Rule 8: an executor whose lock is gone stops before its next step, and another goes on", async () => {
    const account = await unaccounted(250);
    const { operationId } = await startReplay(stage.billing, { kind: "unaccounted" }, anAct());
    const id = operationId ?? "";
    const { running, goOn } = await runBlocked(account, id);
    await cutLock();
    expect((await readOperation(stage.billing.query, id))?.state).toBe("waiting");
    await goOn();
    expect(await running).toMatchObject({ code: "postgres_unavailable", retryable: true });
    expect(await readOperation(stage.billing.query, id)).toMatchObject({ counts: { applied: 100, left: 150 } });
    expect(await execute(stage, id)).toMatchObject({ applied: 250, already: 0, failed: 0 });
    expect(await drift(stage, account)).toEqual(noDrift);
  });

  test("Rule 8: should two execute one act at once all the same, each outcome is noted once", async () => {
    const account = await stage.account("100");
    await chargeUnits(stage, account, 1);
    await settleAll(stage);
    await stage.query(
      "ALTER TABLE data.usage_log ADD CONSTRAINT usage_log_test_check CHECK (model <> 'gpt-4o') NOT VALID",
    );
    await chargeUnits(stage, account, 1);
    await addEntry(stage, account, olderFields({ ...account, id: crypto.randomUUID() }));
    await drain(stage);
    await stage.query("ALTER TABLE data.usage_log DROP CONSTRAINT usage_log_test_check");
    const { operationId } = await startReplay(stage.billing, { kind: "dead_letters" }, anAct());
    const id = operationId ?? "";
    // The first loses its lock inside its step, and does not know; the second comes to the same step.
    const first = await runBlocked(account, id);
    await cutLock();
    const second = await runBlocked(account, id, first.blocker);
    await first.goOn();
    await Promise.all([first.running, second.running]);
    expect(await readOperation(stage.billing.query, id)).toMatchObject({
      counts: { applied: 1, already: 0, failed: 1 },
    });
    const letters = await listDeadLetters(stage.billing.query);
    expect(letters).toMatchObject([
      { state: "open", attempts: 4, errorClass: "unknown_account", history: [{ outcome: "failed" }] },
      { state: "replayed", attempts: 3, history: [{ outcome: "applied" }] },
    ]);
    expect(await drift(stage, account)).toEqual(noDrift);
  });

  test("Rule 5: Redis away between the commit and the ack: the act waits, and ends when it is back, each target settled once", async () => {
    const account = await stage.account("100");
    await chargeUnits(stage, account, 3);
    await deliverTo(stage, account, "dead-worker");
    await untilDead(stage, "dead-worker");
    const { operationId } = await startReplay(stage.billing, { kind: "pending" }, anAct());
    const id = operationId ?? "";
    const { running, goOn } = await runBlocked(account, id);
    await stage.redis.kill();
    await goOn();
    expect(await running).toMatchObject({ code: "redis_unavailable", retryable: true });
    expect(await readOperation(stage.billing.query, id)).toMatchObject({ state: "waiting", counts: { left: 4 } });
    await stage.redis.restart();
    await expect.poll(() => stage.billing.redis.status, { timeout: 10_000 }).toBe("ready");
    expect(await execute(stage, id)).toMatchObject({ targets: 4, applied: 3, already: 1, failed: 0 });
    expect((await listPending(stage.billing)).entries).toEqual([]);
    expect(await booked(stage, account)).toEqual({ rows: 3, moved: "0.000000000" });
    expect(await drift(stage, account)).toEqual(noDrift);
  });

  test("Rule 4: where more than a tenth of a step fails with a database error, pending entries stay pending", async () => {
    const account = await stage.account("100");
    const ghost = { ...account, id: crypto.randomUUID() };
    for (let i = 0; i < 100; i++) await addEntry(stage, account, olderFields(i % 5 === 0 ? ghost : account));
    await deliverTo(stage, account, "dead-worker");
    await untilDead(stage, "dead-worker");
    const { operationId } = await startReplay(stage.billing, { kind: "pending" }, anAct());
    expect(await execute(stage, operationId)).toMatchObject({ targets: 100, applied: 80, failed: 20 });
    expect(await listDeadLetters(stage.billing.query)).toEqual([]);
    const { entries } = await listPending(stage.billing);
    expect(entries.map(({ consumer }) => consumer)).toEqual(Array.from({ length: 20 }, () => `replay-${operationId}`));
  });

  test("Rule 4: where more than a tenth of a step fails with a database error, unaccounted entries stay unaccounted", async () => {
    const account = await stage.account("100");
    await chargeUnits(stage, account, 1);
    await settleAll(stage);
    const ghost = { ...account, id: crypto.randomUUID() };
    for (let i = 0; i < 100; i++) await addEntry(stage, account, olderFields(i % 5 === 0 ? ghost : account));
    await ackUnwritten(stage, account);
    const { operationId } = await startReplay(stage.billing, { kind: "unaccounted" }, anAct());
    expect(await execute(stage, operationId)).toMatchObject({ targets: 100, applied: 80, failed: 20 });
    expect(await listDeadLetters(stage.billing.query)).toEqual([]);
    // Fewer, chosen by hand, are kept as dead letters.
    const few = await startReplay(stage.billing, { kind: "unaccounted", limit: 5 }, anAct());
    expect(await execute(stage, few.operationId)).toMatchObject({ targets: 5, failed: 5 });
    expect(await listDeadLetters(stage.billing.query)).toHaveLength(5);
  });
});
