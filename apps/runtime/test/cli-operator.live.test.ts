import { readOperation, readStats } from "@drawdown/billing";
import { waitFor } from "@drawdown/local-stack";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type OperatorStage, openOperatorStage } from "./operator-stage.ts";
import { run } from "./stage.ts";

let stage: OperatorStage;
beforeEach(async () => {
  stage = await openOperatorStage();
});
afterEach(() => stage.stop());

const older = (accountId: string, more: Record<string, string> = {}) => ({
  deduction_id: `ded_older_${crypto.randomUUID()}`,
  account_id: accountId,
  account_type: "user",
  virtual_key: "vk_old",
  cost: "0.01",
  currency: "usd",
  provider: "openai",
  model: "gpt-4o",
  ...more,
});

const why = ["--reason", "a test"];

/** A worker runs until everything is acked. */
async function drain(): Promise<void> {
  const worker = stage.worker();
  await waitFor(
    async () => {
      const { shards } = await readStats(stage.billing);
      const open = shards.filter((one) => one.pending > 0 || (one.length > 0 && one.lastDeliveredId !== one.lastId));
      if (open.length > 0) throw new Error(JSON.stringify(open));
      return true;
    },
    { timeoutMs: 20_000, what: "the streams drained" },
  );
  worker.signal("SIGTERM");
  await worker.exited;
}

describe("drawdown replay", () => {
  test("Rule 8: --unaccounted: the dry run names the targets and needs no reason; performed without a worker, the command does it itself; twice is once", async () => {
    const account = await stage.account();
    await stage.charge(account, 2);
    await drain();
    await stage.charge(account, 3);
    const ids = await stage.ackUnwritten(account);
    const dry = await stage.json(["replay", "--unaccounted", "--dry-run"]);
    expect(dry.code).toBe(0);
    expect(dry.out).toMatchObject({ operation_id: null, dry_run: true, targets: 3, eligible: 3, already_applied: 0 });
    expect(dry.out["items"]).toMatchObject(ids.map((id) => ({ entry_id: id, class: "eligible", cost: "1.000000000" })));
    expect(await stage.rows("SELECT 1 FROM data.operator_action")).toEqual([]);

    const first = await stage.json(["replay", "--unaccounted", "--yes", ...why]);
    expect(first).toMatchObject({ code: 0, stderr: "" });
    expect(first.out).toEqual({
      operation_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      targets: 3,
      applied: 3,
      already: 0,
      failed: 0,
    });
    const again = await stage.json(["replay", "--unaccounted", ...ids.flatMap((id) => ["--id", id]), ...why]);
    expect(again).toMatchObject({ code: 0, out: { targets: 3, applied: 0, already: 3, failed: 0 } });
    const nothing = await stage.json(["replay", "--unaccounted", ...why]);
    expect(nothing.out).toEqual({ operation_id: null, targets: 0, applied: 0, already: 0, failed: 0 });
    expect(await stage.books(account)).toEqual({ rows: 5, moved: "0.000000000", drift: "0" });
    const [row] = await stage.rows("SELECT * FROM data.operator_action ORDER BY started_at LIMIT 1");
    expect(row).toMatchObject({
      id: first.out["operation_id"],
      actor: (await import("node:os")).userInfo().username,
      role: "admin",
      action: "replay",
      reason: "a test",
      targets: expect.arrayContaining([expect.stringContaining(ids[0] ?? "")]),
      result: { targets: 3, applied: 3 },
      finished_at: expect.any(Date),
    });
  });

  test("Rule 8: --pending and --dead-letters; a target that fails makes the exit code 1 and keeps its letter", {
    timeout: 60_000,
  }, async () => {
    const account = await stage.account();
    await stage.charge(account, 2);
    await stage.add(account, older(crypto.randomUUID()));
    await stage.deliver(account, "dead-worker");
    const dead = async () =>
      (await stage.json(["pending", "--consumer", "dead-worker"])).out["entries"] as { live: boolean }[];
    await waitFor(async () => (await dead()).every(({ live }) => !live), {
      timeoutMs: 20_000,
      what: "the worker dead",
    });
    const pending = await stage.json(["pending"]);
    expect(pending.out).toMatchObject({ count: 4, more: false });
    expect(pending.out["entries"]).toMatchObject([
      { consumer: "dead-worker", live: false, kind: "credit", amount: "10000.000000000", deliveries: 1 },
      { kind: "usage", cost: "1.000000000", account_id: account.id, account_seq: "2", unreadable: null },
      { kind: "usage", account_seq: "3" },
      { kind: "usage", cost: "0.010000000", account_seq: null },
    ]);
    const dry = await stage.json(["replay", "--pending", "--dry-run"]);
    expect(dry.out).toMatchObject({ targets: 4, eligible: 3, account_gone: 1 });
    const one = await stage.json(["replay", "--pending", ...why, "--actor", "somebody"]);
    expect(one).toMatchObject({ code: 1, out: { targets: 4, applied: 3, already: 0, failed: 1 } });
    expect((await stage.json(["pending"])).out).toMatchObject({ count: 0 });

    const letters = await stage.json(["dead-letters"]);
    expect(letters.out).toMatchObject({ count: 1, next: null });
    expect(letters.out["dead_letters"]).toMatchObject([
      { state: "open", error_class: "unknown_account", cost: "0.010000000" },
    ]);
    const again = await stage.json(["replay", "--dead-letters", "--error-class", "unknown_account", ...why]);
    expect(again).toMatchObject({ code: 1, out: { targets: 1, applied: 0, failed: 1 } });
    const { out } = await stage.json(["dead-letters"]);
    expect(out["dead_letters"]).toMatchObject([
      { attempts: 2, history: [{ act: "replay", reason: "a test", outcome: "failed" }] },
    ]);
    const human = await run(["replay", "--dead-letters", ...why], stage.env);
    expect(human.code).toBe(1);
    expect(human.stdout).toMatch(/1 targets: 0 applied, 0 already applied, 1 failed[^]*there is no account/);
    expect(await stage.books(account)).toMatchObject({ rows: 2, drift: "0" });
    const actors = await stage.rows("SELECT actor FROM data.operator_action WHERE actor = 'somebody'");
    expect(actors).toHaveLength(1);
  });

  test("Rule 8: without a reason, a kind, or with an id that names no target, nothing is done and the exit code is 1", async () => {
    const account = await stage.account();
    await stage.charge(account, 1);
    await stage.ackUnwritten(account);
    for (const [args, complaint] of [
      [["replay", "--unaccounted"], "reason"],
      [["replay", "--unaccounted", "--reason", " "], "reason"],
      [["replay", ...why], "one of --pending"],
      [["replay", "--pending", "--unaccounted", ...why], "one of --pending"],
      [["replay", "--unaccounted", "--id", "1-1", ...why], "1-1 is not unaccounted"],
      [["replay", "--dead-letters", "--id", "77", ...why], "77 is no open dead letter"],
      [["replay", "--unaccounted", "--error-class", "x", ...why], "--error-class"],
      [["replay", "--unaccounted", "--shard", "16", ...why], "16 shards"],
      [["discard", "--id", "1"], "reason"],
      [["cleanup"], "reason"],
    ] as const) {
      const { code, out } = await stage.json([...args]);
      expect([code, out]).toMatchObject([1, { error: { message: expect.stringContaining(complaint) } }]);
    }
    expect(await stage.rows("SELECT 1 FROM data.operator_action")).toEqual([]);
    expect(await stage.rows("SELECT 1 FROM data.usage_log")).toEqual([]);
  });

  test("Rule 8: with a worker running the worker executes it, and the command waits for its end", async () => {
    const account = await stage.account();
    await stage.charge(account, 1);
    await drain();
    await stage.charge(account, 300);
    await stage.ackUnwritten(account);
    const worker = stage.worker();
    await waitFor(async () => (await stage.rows("SELECT to_regclass('graphile_worker.jobs') AS jobs"))[0]?.["jobs"], {
      timeoutMs: 10_000,
      what: "the worker's queue",
    });
    await waitFor(() => worker.stderr().includes('"ready"'), { timeoutMs: 40_000, what: "the worker" });
    const { code, out } = await stage.json(["replay", "--unaccounted", ...why]);
    expect([code, out]).toMatchObject([0, { targets: 300, applied: 300, failed: 0 }]);
    const operation = await readOperation(stage.billing.query, String(out["operation_id"]));
    expect(operation).toMatchObject({ state: "done" });
    const jobs = () => stage.rows("SELECT 1 FROM graphile_worker.jobs WHERE task_identifier = 'operation'");
    await waitFor(async () => (await jobs()).length === 0, { timeoutMs: 5_000, what: "its job gone" });
    expect(await stage.books(account)).toEqual({ rows: 301, moved: "0.000000000", drift: "0" });
  });
});

describe("drawdown discard and restore", () => {
  test("Rule 8: set a letter aside and take it back, with a reason; an unknown id makes the exit code 1", async () => {
    const account = await stage.account();
    await stage.add(account, older(account.id, { cost: "lots" }));
    await drain();
    const { out } = await stage.json(["dead-letters"]);
    const [{ id }] = out["dead_letters"] as [{ id: string }];
    const discarded = await stage.json(["discard", "--id", id, "--reason", "a typing error"]);
    expect(discarded).toMatchObject({ code: 0, out: { targets: 1, applied: 1, already: 0, failed: 0 } });
    expect((await stage.json(["dead-letters"])).out).toMatchObject({ count: 0, dead_letters: [] });
    const aside = await stage.json(["dead-letters", "--state", "discarded"]);
    expect(aside.out["dead_letters"]).toMatchObject([
      { id, state: "discarded", history: [{ act: "discard", reason: "a typing error" }] },
    ]);
    expect(await stage.json(["discard", "--id", id, ...why])).toMatchObject({
      code: 0,
      out: { applied: 0, already: 1 },
    });
    const refused = await stage.json(["replay", "--dead-letters", "--id", id, ...why]);
    expect(refused).toMatchObject({ code: 1, out: { error: { message: expect.stringContaining("restored first") } } });
    const both = await stage.json(["restore", "--id", id, "--id", "4711", ...why]);
    expect(both).toMatchObject({ code: 1, out: { targets: 2, applied: 1, failed: 1 } });
    expect((await stage.json(["dead-letters"])).out).toMatchObject({ count: 1 });
  });
});

describe("drawdown cleanup", () => {
  test("Rule 7: a dry run and a run say the same counts, half-settled ones are unaccounted, and what is not proven stays", async () => {
    const account = await stage.account();
    await stage.charge(account, 3);
    await drain();
    await stage.charge(account, 1);
    await stage.ackUnwritten(account);
    const [half = ""] = await stage.charge(account, 1);
    await stage.ackUnwritten(account);
    await stage.rows(
      `INSERT INTO data.usage_log (deduction_id, virtual_key, account_id, account_type, provider, model, cost, currency, created_at,
          input_tokens, output_tokens, metadata_json, sync_status)
       VALUES ($1, 'vk_test', $2, 'user', 'openai', 'gpt-4o', 1, 'USD', now(), 10, 5, '{}', 'completed')`,
      [half, account.id],
    );
    await stage.charge(account, 1);
    await stage.deliver(account, "some-worker");
    const all = ["cleanup", "--max-age-hours", "0"];
    const dry = await stage.json([...all, "--dry-run"]);
    const counts = { trimmed: 4, kept: 3, pending: 1, unaccounted: 2 };
    expect(dry).toMatchObject({ code: 0, out: { operation_id: null, dry_run: true, ...counts } });
    const young = await stage.json(["cleanup", "--dry-run"]);
    expect(young.out).toMatchObject({ trimmed: 0, kept: 7, pending: 1, unaccounted: 2 });
    const done = await stage.json([...all, "--max-per-shard", "2", ...why]);
    expect(done).toMatchObject({ code: 0, out: { dry_run: false, ...counts } });
    const shards = done.out["shards"] as { trimmed: number; kept: number }[];
    expect(shards).toHaveLength(16);
    expect(shards.filter(({ trimmed }) => trimmed > 0)).toMatchObject([
      { ...counts, reasons: { half_settled: 1, unaccounted: 1, pending: 1 } },
    ]);
    const again = await stage.json([...all, "--shard", "0", ...why]);
    expect(again.out).toMatchObject({ trimmed: 0, shards: [{ shard: 0 }] });
    expect(await stage.rows("SELECT action, reason FROM data.operator_action")).toEqual([
      { action: "cleanup", reason: "a test" },
      { action: "cleanup", reason: "a test" },
    ]);
    const human = await run([...all, "--dry-run"], stage.env);
    expect(human.stdout).toMatch(/^0 would be removed, 3 stay, of them 1 pending and 2 unaccounted/);
  });
});

describe("drawdown refund", () => {
  test("Rule 8: gives back a part, then the rest, then no more; what is not in the books is not refunded", async () => {
    const account = await stage.account();
    const [deduction = ""] = await stage.charge(account, 1);
    const early = await stage.json(["refund", deduction, ...why]);
    expect(early).toMatchObject({ code: 1, out: { error: { message: expect.stringContaining("in the books") } } });
    await drain();
    const part = await stage.json(["refund", deduction, "--amount", "0.4", ...why]);
    expect(part).toMatchObject({
      code: 0,
      out: { amount: "0.400000000", refunded: "0.400000000", left: "0.600000000" },
    });
    const tooMuch = await stage.json(["refund", deduction, "--amount", "0.7", ...why]);
    expect(tooMuch).toMatchObject({ code: 1, out: { error: { message: expect.stringContaining("0.400000000") } } });
    expect((await stage.json(["refund", deduction, ...why])).out).toMatchObject({
      amount: "0.600000000",
      left: "0.000000000",
    });
    expect((await stage.json(["refund", deduction, ...why])).code).toBe(1);
    const [row] = await stage.rows("SELECT balance FROM data.account_balance WHERE id = $1", [account.id]);
    expect(row).toEqual({ balance: "10000.000000000" });
  });
});
