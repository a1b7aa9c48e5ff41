import { afterEach, beforeEach, expect, test } from "vitest";
import { countNewerPending, countPending, pagePending, planReplay, withinPin } from "../src/index.ts";
import { GROUP, streamKey } from "../src/keys.ts";
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
  const inWindow = withinPin({}, pin);
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
  const plan = await planReplay(billing, { kind: "pending", ...inWindow });
  expect(plan.targets.map(({ target }) => target.entry_id).toSorted()).toEqual(ids.toSorted());
  await expect(pagePending(billing, {}, { limit: 2, cursor: "nonsense" })).rejects.toThrow("not one of this list");
});

test("7: a reader of pending entries pages back through shards, past what was acked meanwhile, to the first page", async () => {
  const { billing } = stage;
  for (const account of await accountsApart(stage)) {
    await chargeUnits(stage, account, 3);
    await deliverTo(stage, account, "dead-worker");
  }
  const read = (cursor: string | null, pin?: string) =>
    pagePending(
      billing,
      {},
      { limit: 2, ...(cursor === null ? {} : { cursor }), ...(pin === undefined ? {} : { pin }) },
    );
  const pages = [await read(null)];
  const { pin } = pages[0] ?? {};
  for (let next = pages[0]?.next ?? null; next !== null; next = pages.at(-1)?.next ?? null)
    pages.push(await read(next, pin));
  const idsOf = (page: (typeof pages)[number] | undefined) => page?.rows.map(({ entryId }) => entryId);
  expect(pages.length).toBeGreaterThan(2);
  const [first, , third] = pages;
  expect(first?.previous).toBeNull();

  let back = await read(pages.at(-1)?.previous ?? "", pin);
  for (const page of pages.slice(0, -1).toReversed()) {
    expect(idsOf(back)).toEqual(idsOf(page));
    if (page !== first) back = await read(back.previous ?? "", pin);
  }
  expect(back).toMatchObject({ previous: null, next: first?.next });

  const [acked] = pages[1]?.rows ?? [];
  if (acked === undefined) throw new Error("the second page has no row");
  await billing.redis.xack(streamKey(acked.shard), GROUP, acked.entryId);
  // One row fewer stands before: the page begins one earlier, and the list where it began.
  const beforeThird = await read(third?.previous ?? "", pin);
  expect(idsOf(beforeThird)).toEqual([idsOf(first)?.[1], idsOf(pages[1])?.[1]]);
  expect(idsOf(await read(beforeThird.previous ?? "", pin))).toEqual([idsOf(first)?.[0], idsOf(first)?.[1]]);
});
