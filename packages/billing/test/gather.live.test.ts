import { afterEach, beforeEach, expect, test } from "vitest";
import { charge, type Observe } from "../src/index.ts";
import { aCharge, accountsOfEachShard, chainProblems, openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

test("Section 9: charges that keep coming are settled together", async () => {
  // One in each shard, and gathered so shortly that no shard has a whole batch waiting, however fast they come: that would be read at once.
  const accounts = await accountsOfEachShard(stage, "100");
  let reads = 0;
  const observe: Observe = (point) => {
    if (point === "consume.read") reads += 1;
  };
  const gatherMs = 100;
  const worker = stage.worker({ billing: await stage.another({ observe }), settings: { gatherMs } });
  const startedAt = performance.now();
  // For some gatherings, and however slow the disk is, for many more charges than readings there may be.
  for (let waves = 0; waves < 10 || performance.now() - startedAt < 6 * gatherMs; waves += 1)
    await Promise.all(accounts.map((account) => charge(stage.billing, aCharge(account, 1n))));
  await stage.atRest();
  const mostOfEachReader = 1 + Math.ceil((performance.now() - startedAt) / gatherMs);
  await worker.stop();
  expect(reads).toBeLessThanOrEqual(3 * mostOfEachReader);
  for (const account of accounts) expect(await chainProblems(stage, account)).toEqual([]);
});
