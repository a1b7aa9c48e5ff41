import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  countDeadLetters,
  discardLetters,
  listDeadLetters,
  listItems,
  peekBalance,
  previewCleanup,
  readOperation,
  restoreLetters,
  shardOf,
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
} from "./replay-stage.ts";
import { openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

describe("discard and restore", () => {
  test("Rule 8: discarding is a state with a reason, restoring undoes it, neither moves money, and both are on record with every target", async () => {
    const account = await stage.account("100");
    await chargeUnits(stage, account, 1);
    await settleAll(stage);
    await stage.query(
      "ALTER TABLE data.usage_log ADD CONSTRAINT usage_log_test_check CHECK (model <> 'gpt-4o') NOT VALID",
    );
    await chargeUnits(stage, account, 2);
    await drain(stage);
    await stage.query("ALTER TABLE data.usage_log DROP CONSTRAINT usage_log_test_check");
    const redis = await peekBalance(stage.billing, account);
    const letters = () => listDeadLetters(stage.billing.query);
    const [second = "", first = ""] = (await letters()).map(({ id }) => id);

    const discarded = await discardLetters(stage.billing, [first, "999999"], anAct({ reason: "written off" }));
    expect(discarded).toMatchObject({ changed: [first], already: [], replayed: [], missing: ["999999"] });
    const line = { act: "discard", actor: "tester", reason: "written off", operation_id: discarded.operationId };
    expect(await letters()).toMatchObject([{ state: "open" }, { state: "discarded", history: [line] }]);
    expect(await readOperation(stage.billing.query, discarded.operationId ?? "")).toMatchObject({
      action: "discard",
      reason: "written off",
      state: "done",
      counts: { targets: 2, applied: 1, already: 0, failed: 1, left: 0 },
      before: { state: "open" },
      after: { state: "discarded" },
    });
    expect(await drift(stage, account)).toEqual(noDrift);
    expect((await discardLetters(stage.billing, [first], anAct())).already).toEqual([first]);
    // Discarded, it is no target; and found so in the middle of an act, it is left alone.
    const open = await startReplay(stage.billing, { kind: "dead_letters" }, anAct());
    await discardLetters(stage.billing, [second], anAct());
    expect(open.plan.targets.map(({ name }) => name)).toEqual([second]);
    expect(await execute(stage, open.operationId)).toMatchObject({ targets: 1, applied: 0, failed: 1 });
    expect((await booked(stage, account)).rows).toBe(1);

    expect(await restoreLetters(stage.billing, [first, second], anAct())).toMatchObject({ changed: [first, second] });
    expect(await drift(stage, account)).toEqual(noDrift);
    const { operationId } = await startReplay(stage.billing, { kind: "dead_letters" }, anAct());
    expect(await execute(stage, operationId)).toMatchObject({ targets: 2, applied: 2 });
    expect((await discardLetters(stage.billing, [first], anAct())).replayed).toEqual([first]);
    expect((await restoreLetters(stage.billing, [first], anAct())).replayed).toEqual([first]);
    const [, closed] = await letters();
    expect(closed?.history.map(({ act }) => act)).toEqual(["discard", "restore", "replay"]);
    expect(await peekBalance(stage.billing, account)).toEqual(redis);
    expect(await drift(stage, account)).toEqual(noDrift);
  });
});

describe("discard and restore in bulk", () => {
  test("Rule 8: thousands of letters by a filter are one act with its frozen set; other letters stay, and restoring takes back those", async () => {
    const account = await stage.account("100");
    await chargeUnits(stage, account, 1);
    await addEntry(stage, account, olderFields(account, { cost: "lots" }));
    await addEntry(stage, account, olderFields(account, { currency: "EUR" }));
    await drain(stage);
    await stage.query(
      `INSERT INTO data.dead_letter (stream_key, stream_entry_id, raw, fields, error_class, error_message)
       SELECT stream_key, n || '-0', raw, fields, error_class, error_message
         FROM data.dead_letter, generate_series(1, 1999) n WHERE error_class = 'invalid_cost'`,
    );
    const filter = { errorClass: "invalid_cost", states: ["open" as const] };
    const discarded = await discardLetters(stage.billing, filter, anAct());
    expect([discarded.changed.length, discarded.missing]).toEqual([2_000, []]);
    const [act] = await stage.query<{ targets: string[] }>("SELECT targets FROM data.operator_action");
    expect(act?.targets).toEqual(discarded.changed);
    const open = await listDeadLetters(stage.billing.query, { states: ["open"] });
    expect(open).toMatchObject([{ errorClass: "currency_mismatch" }]);
    const restored = await restoreLetters(stage.billing, discarded.changed, anAct());
    expect(restored.changed).toHaveLength(2_000);
    // Read page by page, each letter comes once, the newest first.
    const seen: string[] = [];
    for (let after: string | undefined; ; after = seen.at(-1)) {
      const page = await listDeadLetters(stage.billing.query, {}, { limit: 700, ...(after ? { after } : {}) });
      seen.push(...page.map(({ id }) => id));
      if (page.length < 700) break;
    }
    expect(seen).toEqual([...new Set(seen)].toSorted((a, b) => Number(b) - Number(a)));
    expect(seen).toHaveLength(await countDeadLetters(stage.billing.query));
  });
});

describe("cleanup as an act", () => {
  test("Rule 7: it counts what it removes and what stays and why, on record, with the cut-off of the moment it was asked for", async () => {
    const account = await stage.account("100");
    await chargeUnits(stage, account, 3);
    await settleAll(stage);
    await chargeUnits(stage, account, 1);
    await ackUnwritten(stage, account);
    await chargeUnits(stage, account, 1);
    await deliverTo(stage, account, "some-worker");
    const shard = shardOf(account.id, 16);
    const settings = { maxAgeMs: -1_000, maxPerShard: 2, shards: [shard] };
    const preview = await previewCleanup(stage.billing, settings);
    expect(preview).toMatchObject({ trimmed: 4, kept: 2, pending: 1, unaccounted: 1 });
    expect(await stage.billing.redis.xlen(keyOf(account))).toBe(6);
    const id = await startCleanup(stage.billing, settings, anAct());
    await execute(stage, id);
    const operation = await readOperation(stage.billing.query, id);
    expect(operation).toMatchObject({
      action: "cleanup",
      state: "done",
      counts: { targets: 1, applied: 1 },
      before: { [keyOf(account)]: 6 },
      after: { [keyOf(account)]: 2 },
      result: { trimmed: 4, kept: 2, pending: 1, unaccounted: 1, shards: [{ shard, trimmed: 4 }] },
    });
  });

  test("Rule 7: an act that is executed late removes nothing that was too young when it was asked for", async () => {
    const account = await stage.account("100");
    await chargeUnits(stage, account, 1);
    await settleAll(stage);
    const shards = [shardOf(account.id, 16)];
    const id = await startCleanup(stage.billing, { maxAgeMs: 0, maxPerShard: 1_000, shards }, anAct());
    const [item] = await listItems(stage.billing.query, id);
    const cutOffMs = Number(item?.target.cut_off_ms);
    const newestMs = async () =>
      Number((await stage.billing.redis.xrevrange(keyOf(account), "+", "-", "COUNT", 1))[0]?.[0].split("-")[0]);
    for (let tries = 0; tries < 1_000 && (await newestMs()) <= cutOffMs; tries++) await chargeUnits(stage, account, 1);
    await settleAll(stage);
    expect(await execute(stage, id)).toMatchObject({ trimmed: expect.any(Number), kept: 1 });
    expect(await newestMs()).toBeGreaterThan(cutOffMs);
  });
});
