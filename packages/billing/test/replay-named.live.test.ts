import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  charge,
  discardLetters,
  findLetterIds,
  listItems,
  planReplay,
  previewCleanup,
  restoreLetters,
  startCleanup,
  startReplay,
} from "../src/index.ts";
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
  UNIT,
  untilDead,
} from "./replay-stage.ts";
import { aCharge, openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

test("Rule 8: exactly the previewed targets are replayed, wherever they are by then; what arrived since is untouched", async () => {
  const account = await stage.account("100");
  await chargeUnits(stage, account, 1);
  await settleAll(stage);
  await chargeUnits(stage, account, 3);
  const [first = "", second = "", third = ""] = await ackUnwritten(stage, account);
  const preview = await planReplay(stage.billing, { kind: "unaccounted" });
  const ids = preview.targets.map(({ name }) => name);
  expect(ids).toEqual([first, second, third].map((id) => `${keyOf(account)}/${id}`));

  // Meanwhile one more arrives, one of them is settled by another, and one becomes a dead letter that is set aside.
  await chargeUnits(stage, account, 1);
  await ackUnwritten(stage, account);
  await execute(stage, (await startReplay(stage.billing, { kind: "named", ids: [ids[0] ?? ""] }, anAct())).operationId);
  const act = { ...anAct(), id: randomUUID() };
  const asked = { kind: "named" as const, ids: [...ids, "999999", "stream:deductions:3/1-1", "nonsense"] };
  const both = await Promise.all([startReplay(stage.billing, asked, act), startReplay(stage.billing, asked, act)]);
  expect(both.map(({ operationId }) => operationId)).toEqual([act.id, act.id]);
  expect(both[0].plan).toMatchObject({
    classes: { already_applied: 1, eligible: 2 },
    missing: ["999999", "stream:deductions:3/1-1", "nonsense"],
  });
  expect(await execute(stage, act.id)).toMatchObject({ targets: 3, applied: 2, already: 1, failed: 0 });
  expect(await booked(stage, account)).toEqual({ rows: 4, moved: "0.000000000" });
  expect(await planReplay(stage.billing, { kind: "unaccounted" })).toMatchObject({ classes: { eligible: 1 } });
  expect(await drift(stage, account)).toEqual(noDrift);
});

test("Rule 8: what failed of a replay is found again where it went: a pending entry that became a dead letter is replayed once its cause is mended", async () => {
  const account = await stage.account("100");
  await chargeUnits(stage, account, 1);
  await settleAll(stage);
  await stage.query("ALTER TABLE data.usage_log ADD CONSTRAINT usage_log_test_check CHECK (cost <> 7) NOT VALID");
  const odd = await charge(stage.billing, aCharge(account, 7n * UNIT));
  await chargeUnits(stage, account, 1);
  await deliverTo(stage, account, "dead-worker");
  await untilDead(stage, "dead-worker");
  const { operationId } = await startReplay(stage.billing, { kind: "pending" }, anAct());
  const failed = { kind: "failed" as const, operationId: operationId ?? "" };
  await expect(planReplay(stage.billing, failed)).rejects.toMatchObject({ code: "invalid_request" });
  expect(await execute(stage, operationId)).toMatchObject({ targets: 2, applied: 1, failed: 1 });
  await stage.query("ALTER TABLE data.usage_log DROP CONSTRAINT usage_log_test_check");
  const plan = await planReplay(stage.billing, failed);
  const deductionId = odd.outcome === "charged" ? odd.deductionId : "";
  expect(plan).toMatchObject({
    classes: { eligible: 1, already_applied: 0 },
    targets: [{ target: { kind: "dead_letter", deduction_id: deductionId } }],
    missing: [],
  });
  expect(await execute(stage, (await startReplay(stage.billing, failed, anAct())).operationId)).toMatchObject({
    targets: 1,
    applied: 1,
  });
  expect(await planReplay(stage.billing, failed)).toMatchObject({ classes: { already_applied: 1, eligible: 0 } });
  expect(await drift(stage, account)).toEqual(noDrift);
  await expect(planReplay(stage.billing, { kind: "failed", operationId: "x" })).rejects.toMatchObject({
    code: "invalid_request",
  });
});

test("Rule 8: letters are set aside by the ids that a filter found at the preview, once, with an outcome for each", async () => {
  const account = await stage.account("100");
  for (let i = 0; i < 3; i++) await addEntry(stage, account, olderFields(account, { cost: "no number" }));
  await drain(stage);
  const ids = await findLetterIds(stage.billing.query, { states: ["open"] });
  expect(ids).toHaveLength(3);
  await addEntry(stage, account, olderFields(account, { cost: "no number" }));
  await drain(stage);
  const [first = ""] = ids;
  await discardLetters(stage.billing, [first], anAct());
  const act = { ...anAct(), id: randomUUID() };
  const done = await Promise.all([discardLetters(stage.billing, ids, act), discardLetters(stage.billing, ids, act)]);
  expect(done[1]).toEqual(done[0]);
  expect(done[0]).toMatchObject({ operationId: act.id, changed: ids.slice(1), already: [first], missing: [] });
  expect(await listItems(stage.billing.query, act.id)).toMatchObject([
    { n: 1, target: { dead_letter_id: first }, outcome: "already", detail: null },
    { n: 2, outcome: "applied" },
    { n: 3, outcome: "applied" },
  ]);
  expect(await findLetterIds(stage.billing.query, { states: ["open"] })).toHaveLength(1);
  const named = { kind: "named" as const, ids: [first] };
  expect(await planReplay(stage.billing, named)).toMatchObject({ targets: [], missing: [first] });
  const back = await restoreLetters(stage.billing, [first, "999999"], anAct());
  expect(await listItems(stage.billing.query, back.operationId ?? "", { outcome: "failed" })).toMatchObject([
    { target: { dead_letter_id: "999999" }, detail: { error_class: "gone" } },
  ]);
});

test("Rule 7: a cleanup that was previewed removes what was old enough then, and nothing that became so since", async () => {
  const account = await stage.account("100");
  await chargeUnits(stage, account, 2);
  await settleAll(stage);
  const preview = await previewCleanup(stage.billing, { maxAgeMs: 0, maxPerShard: 1_000 });
  expect(preview).toMatchObject({ trimmed: 3, cutOffMs: expect.any(Number) });
  const redis = stage.billing.redis;
  const nowMs = async () => {
    const [seconds, micros] = await redis.time();
    return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
  };
  while ((await nowMs()) <= preview.cutOffMs); // the next entry is younger than the preview
  await chargeUnits(stage, account, 2);
  await settleAll(stage);
  const length = await redis.xlen(keyOf(account));
  const { cutOffMs } = preview;
  const id = await startCleanup(stage.billing, { maxAgeMs: 0, maxPerShard: 1_000, cutOffMs }, anAct());
  expect(await execute(stage, id)).toMatchObject({ trimmed: 3 });
  expect(await redis.xlen(keyOf(account))).toBe(length - 3);
});
