import { afterEach, beforeEach, expect, test } from "vitest";
import { countNewerPending, countPending, olderThanPin, pagePending, planReplay } from "../src/index.ts";
import { accountsApart, chargeUnits, deliverTo } from "./replay-stage.ts";
import { openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

test("7: pending entries are paged within their window: each once, none that came later, and a replay of the window takes exactly them", async () => {
  const { billing } = stage;
  const [first, second] = await accountsApart(stage);
  const ids: string[] = [];
  for (const account of [first, second]) {
    await chargeUnits(stage, account, 3);
    ids.push(...(await deliverTo(stage, account, "dead-worker")));
  }
  const start = await pagePending(billing, {}, { limit: 2 });
  const { pin } = start;
  await chargeUnits(stage, first, 2);
  await deliverTo(stage, first, "other-worker");

  const seen = [...start.rows];
  for (let cursor = start.next; cursor !== null; ) {
    const page = await pagePending(billing, {}, { limit: 2, cursor, pin });
    seen.push(...page.rows);
    cursor = page.next;
  }
  expect(seen.map(({ entryId }) => entryId).toSorted()).toEqual(ids.toSorted());
  expect(await countPending(billing, {}, pin)).toEqual({ count: ids.length, exact: true });
  expect(await countPending(billing, { consumer: "other-worker" }, pin)).toEqual({ count: 0, exact: true });
  expect(await countPending(billing, { ids: ids.slice(0, 1) }, pin)).toEqual({ count: 1, exact: true });
  expect(await countNewerPending(billing, {}, pin)).toEqual({ count: 2, exact: true });
  const plan = await planReplay(billing, { kind: "pending", ...olderThanPin({}, pin) });
  expect(plan.targets.map(({ target }) => target.entry_id).toSorted()).toEqual(ids.toSorted());
  await expect(pagePending(billing, {}, { limit: 2, cursor: "nonsense" })).rejects.toThrow("not one of this list");
});
