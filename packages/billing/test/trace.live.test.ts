import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  captureHold,
  charge,
  cleanup,
  freezeAccount,
  giveCredit,
  openHold,
  refund,
  startReplay,
  trace,
  voidHold,
} from "../src/index.ts";
import { ackUnwritten, anAct, chargeUnits, deliverTo, drain, execute, keyOf, settleAll, UNIT } from "./replay-stage.ts";
import { aCharge, openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

const NAMES = ["Hold", "Charge", "Stream entry", "Delivery", "usage_log", "Audit", "Ack", "Trimmed"];

async function reached(id: string): Promise<{ state: string; hops: string[] }> {
  const { state, hops } = await trace(stage.billing, id);
  expect(hops.map(({ name }) => name)).toEqual(NAMES);
  for (const { name, reached: there, advice } of hops) if (!there && name !== "Trimmed") expect(advice).toBeTruthy();
  return { state, hops: hops.flatMap((hop) => (hop.reached ? [hop.name] : [])) };
}

describe("a trace", () => {
  test("has the same hops in the same order from whatever id, with the neighbours in the chain and the acts on it", async () => {
    const account = await stage.account("100");
    const request = aCharge(account, UNIT);
    const first = await charge(stage.billing, request);
    const [deductionId = ""] = await chargeUnits(stage, account, 1);
    if (first.outcome !== "charged") throw new Error(first.outcome);
    await settleAll(stage);
    await refund(stage.billing, first.deductionId, anAct());
    const found = await trace(stage.billing, first.deductionId);
    const { stream_entry_id: entryId, id: rowId } = found.usageLog as { stream_entry_id: string; id: string };
    expect(found).toMatchObject({
      kind: "deduction",
      state: "settled",
      accountId: account.id,
      ownerId: account.ownerId,
      accountType: "user",
      seq: "2",
      previous: { seq: "1", deductionId: null },
      next: { seq: "3", deductionId },
      operations: [{ action: "refund", actor: "tester" }],
      hold: null,
      alerts: [],
    });
    expect(found.hops[0]).toMatchObject({ reached: false, advice: expect.stringContaining("charged directly") });
    // Redis reads its clock for the charge, then for the entry's id: a millisecond may begin in between.
    const [chargedMs, appendedMs] = [1, 2].map((hop) => Date.parse(found.hops[hop]?.at ?? ""));
    expect(found.hops[2]?.sincePreviousMs).toBe((appendedMs ?? 0) - (chargedMs ?? 0));
    expect(found.hops[2]?.sincePreviousMs).toBeGreaterThanOrEqual(0);
    expect(found.hops[4]?.sincePreviousMs).toBeGreaterThanOrEqual(0);
    const ids = [request.requestId, entryId, `${keyOf(account)}/${entryId}`, rowId, `usage_log:${rowId}`];
    const auditId = String(found.audit?.["id"]);
    for (const id of [...ids, `audit:${auditId}`])
      expect(await trace(stage.billing, id)).toMatchObject({ deductionId: first.deductionId, hops: found.hops });
    const here = ["Charge", "Stream entry", "Delivery", "usage_log", "Audit", "Ack"];
    expect(await reached(deductionId)).toEqual({ state: "settled", hops: here });
    await cleanup(stage.billing, { maxAgeMs: -60_000, maxPerShard: 100, dryRun: false });
    expect(await reached(deductionId)).toEqual({ state: "settled", hops: [...here, "Trimmed"] });
    expect(await trace(stage.billing, "nothing")).toMatchObject({ kind: "unknown", state: "unknown", hops: [] });
  });

  test("follows a hold: open, captured, released, and served but never captured", async () => {
    const account = await stage.account("100");
    const { billing } = stage;
    const request = {
      account,
      virtualKey: "vk_test",
      digest: "d".repeat(64),
      amountNanos: 5n * UNIT,
      ttlMs: 60_000,
      provider: "openai",
      model: "gpt-4o",
    };
    const open = async (more: object = {}) => {
      const held = await openHold(billing, { ...request, requestId: randomUUID(), ...more });
      return held.outcome === "held" ? held.holdId : expect.fail(held.outcome);
    };
    const requestId = "a request that is under way";
    const holdId = await open({ requestId });
    for (const id of [holdId, requestId])
      expect(await trace(billing, id)).toMatchObject({
        kind: "hold",
        state: "held",
        accountId: account.id,
        hold: { holdId, state: "open", amount: "5.000000000", requestId },
      });
    expect(await reached(holdId)).toEqual({ state: "held", hops: ["Hold"] });

    const drawn = {
      virtualKey: "vk_test",
      costNanos: 2n * UNIT,
      provider: "openai",
      model: "gpt-4o",
      inputTokens: 1,
      outputTokens: 1,
      usageSource: "provider" as const,
    };
    await captureHold(billing, { account, holdId }, drawn);
    expect(await reached(holdId)).toEqual({ state: "unread", hops: ["Hold", "Charge", "Stream entry"] });
    await settleAll(stage);
    expect((await trace(billing, holdId)).hops[0]).toMatchObject({ reached: true, detail: { amount: "5.000000000" } });
    // A gateway's own hold is forgotten with its capture: its charge's id still has the moment, its metadata the amount.
    const ours = { requestId: randomUUID(), digest: request.digest };
    const folded = await open({ requestId: ours.requestId });
    const openedMs = Number(folded.split("_")[1]);
    const nowMs = async () => {
      const [seconds, micros] = await billing.redis.time();
      return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
    };
    while ((await nowMs()) <= openedMs); // a service takes longer than no time
    await captureHold(
      billing,
      { account, holdId: folded, request: ours },
      { ...drawn, metadata: { held: "5.000000000" } },
    );
    await settleAll(stage);
    expect((await trace(billing, ours.requestId)).hops[0]).toMatchObject({
      reached: true,
      at: new Date(openedMs).toISOString(),
      detail: { hold_id: folded, amount: "5.000000000" },
    });

    const released = await open();
    await voidHold(billing, { account, holdId: released });
    expect(await trace(billing, released)).toMatchObject({ state: "released", hold: { state: "voided" } });
    const lost = `ded_1700000000000_${"a".repeat(20)}`;
    await stage.query(
      `INSERT INTO data.uncaptured_hold VALUES ($1, $2, 'vk', 'lost-request', 'openai', 'gpt-4o', 3, now() - interval '1 min', now())`,
      [lost, account.id],
    );
    for (const id of [lost, "lost-request"])
      expect(await trace(billing, id)).toMatchObject({ state: "uncaptured", hold: { amount: "3.000000000" } });
    expect(await reached(lost)).toEqual({ state: "uncaptured", hops: ["Hold"] });
  });

  test("says where an unsettled deduction is, and what was done with one that was replayed", async () => {
    const account = await stage.account("100");
    await chargeUnits(stage, account, 1);
    await settleAll(stage);
    await stage.query("ALTER TABLE data.usage_log ADD CONSTRAINT usage_log_test_check CHECK (cost <> 7) NOT VALID");
    const odd = await charge(stage.billing, aCharge(account, 7n * UNIT));
    const oddId = odd.outcome === "charged" ? odd.deductionId : "";
    await drain(stage);
    await stage.query("ALTER TABLE data.usage_log DROP CONSTRAINT usage_log_test_check");
    const charged = ["Charge", "Stream entry", "Delivery", "Ack"];
    expect(await reached(oddId)).toEqual({ state: "dead_lettered", hops: charged });
    const [lostId = ""] = await chargeUnits(stage, account, 1);
    await ackUnwritten(stage, account);
    expect(await reached(lostId)).toEqual({ state: "unaccounted", hops: charged });
    const [pendingId = ""] = await chargeUnits(stage, account, 1);
    await deliverTo(stage, account, "a-worker");
    expect(await reached(pendingId)).toEqual({ state: "pending", hops: ["Charge", "Stream entry", "Delivery"] });
    const [unreadId = ""] = await chargeUnits(stage, account, 1);
    expect(await reached(unreadId)).toEqual({ state: "unread", hops: ["Charge", "Stream entry"] });

    const { operationId, plan } = await startReplay(stage.billing, { kind: "dead_letters" }, anAct());
    await execute(stage, operationId);
    const letterId = plan.targets[0]?.name ?? "";
    for (const id of [oddId, `letter:${letterId}`])
      expect(await trace(stage.billing, id)).toMatchObject({
        state: "settled",
        deadLetter: { id: letterId, state: "replayed", history: [{ act: "replay", outcome: "applied" }] },
        operations: [{ id: operationId, action: "replay" }],
      });
  });

  test("finds a credit by its row, its reference and its entry, on its way and applied", async () => {
    const account = await stage.account("100");
    await chargeUnits(stage, account, 1);
    const credit = { accountId: account.id, amountNanos: UNIT, category: "top_up" as const, reference: "invoice 7" };
    const given = await giveCredit(stage.billing, credit, anAct());
    const auditId = given.outcome === "credited" ? given.auditId : "";
    await freezeAccount(stage.billing, account.id, anAct());
    expect(await trace(stage.billing, "invoice 7")).toMatchObject({ kind: "credit", state: "not_applied" });
    await settleAll(stage);
    const found = await trace(stage.billing, `audit:${auditId}`);
    expect(found).toMatchObject({
      kind: "credit",
      state: "settled",
      accountId: account.id,
      audit: { id: auditId, reference: "invoice 7" },
      operations: [{ action: "credit" }],
    });
    expect(found.hops.map(({ name }) => name)).toEqual(NAMES);
    const entry = found.audit?.["stream_entry_id"];
    if (typeof entry === "string") expect((await trace(stage.billing, entry)).audit).toMatchObject({ id: auditId });
  });
});
