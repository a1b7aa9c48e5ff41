import { expect, test } from "../stage.ts";

test("the stage settles what is charged, and each part that was taken away comes back with its data", async ({
  stage,
}) => {
  const key = stage.key(0);
  const first = await stage.charge(key);
  expect(await stage.settled(first.deduction_id)).toMatchObject({ cost: first.cost });
  for (const part of [stage.redis, stage.postgres, stage.worker, stage.gateway, stage.console, stage.upstream])
    await part.kill();
  await expect(fetch(stage.consoleUrl)).rejects.toThrow();
  await stage.restore();
  const second = await stage.charge(key);
  expect(second.balance_before).toBe(first.balance_after);
  await stage.settled(second.deduction_id);
  const ids = [first.deduction_id, second.deduction_id];
  const settled = "SELECT FROM data.usage_log WHERE deduction_id = ANY($1) AND settled_at IS NOT NULL";
  expect(await stage.rows(settled, [ids])).toHaveLength(2);
  expect(await (await stage.billing()).redis.ping()).toBe("PONG");
  const answer = await stage.post("/v1/chat/completions", key, {
    model: "gpt-4o-mini",
    messages: [{ role: "user", content: "Hello" }],
  });
  expect(answer.status).toBe(200);
});
