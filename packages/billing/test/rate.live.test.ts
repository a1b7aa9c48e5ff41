import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { admitRequest, shardOf } from "../src/index.ts";
import { openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

describe("requests per minute", () => {
  test("6: of 60 at once through three processes the limit is admitted, each key for itself, and the rest is told when to come again", async () => {
    const account = await stage.account("0");
    const processes = [stage.billing, await stage.another(), await stage.another()];
    const outcomes = await Promise.all(
      Array.from({ length: 60 }, (_, i) => admitRequest(processes[i % 3] ?? stage.billing, account, "vk_1", 7)),
    );
    expect(outcomes.filter(({ outcome }) => outcome === "admitted")).toHaveLength(7);
    for (const outcome of outcomes)
      if (outcome.outcome === "limited") {
        expect(outcome.retryAfterMs).toBeGreaterThan(30_000);
        expect(outcome.retryAfterMs).toBeLessThanOrEqual(60_000);
      }
    expect(await admitRequest(stage.billing, account, "vk_2", 1)).toEqual({ outcome: "admitted" });
  });

  test("6: the window slides: what is a minute old counts no longer, one by one, and a refused request never did", async () => {
    const account = await stage.account("0");
    // A key of its own: the accounts of two tests may be in one shard.
    const key = `rate:{stream:deductions:${shardOf(account.id, 16)}}:vk_sliding`;
    const [seconds] = await stage.billing.redis.time();
    const ago = (ms: number) => String(Number(seconds) * 1_000 - ms);
    await stage.billing.redis.rpush(key, ago(1_000), ago(50_000), ago(61_001));
    const admit = (limit: number) => admitRequest(stage.billing, account, "vk_sliding", limit);
    expect(await admit(2)).toMatchObject({ outcome: "limited", retryAfterMs: expect.any(Number) });
    expect(await admit(3)).toEqual({ outcome: "admitted" });
    expect(await admit(3)).toMatchObject({ outcome: "limited" });
    expect(await stage.billing.redis.llen(key)).toBe(3);
    // A lower limit holds at once, a higher one too, and nothing is kept for longer than the window.
    expect(await admit(1)).toMatchObject({ outcome: "limited" });
    expect(await admit(4)).toEqual({ outcome: "admitted" });
    expect(await stage.billing.redis.pttl(key)).toBeGreaterThan(50_000);
  });
});
