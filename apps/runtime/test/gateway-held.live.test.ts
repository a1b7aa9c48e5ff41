import { once } from "node:events";
import { connect } from "node:net";
import { waitFor } from "@drawdown/local-stack";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStage, post, receivedCount, type Stage, settledRequest } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage?.stop());

/** A script in Redis: what an operator's accident or a lost server would do. */
async function redisScript(script: string): Promise<string> {
  const socket = connect(stage.redis.port, "127.0.0.1");
  socket.write(`*3\r\n$4\r\nEVAL\r\n$${Buffer.byteLength(script)}\r\n${script}\r\n$1\r\n0\r\n`);
  const [reply] = await once(socket, "data");
  socket.destroy();
  return String(reply);
}

describe("5: the hold of a call", () => {
  const sending = (prompt: string, id: string) =>
    post(
      `${stage.gatewayUrl}/v1/chat/completions`,
      stage.tenant1.api_key,
      { model: "gpt-4o", messages: [{ role: "user", content: prompt }] },
      {
        "idempotency-key": id,
      },
    );
  const arrived = (before: number) =>
    waitFor(async () => (await receivedCount(stage)) > before, { timeoutMs: 10_000, what: "it to reach the provider" });

  it("is extended for as long as the call lasts", async () => {
    const before = await receivedCount(stage);
    const sent = sending("[upstream: slow=15000]", "lasting");
    await arrived(before);
    const expiry = async () =>
      Number(
        / (\d{13})/.exec(
          await redisScript(
            `return redis.call('HVALS', redis.call('KEYS', 'holds:*:${stage.tenant1.account_balance_id}')[1])[1]`,
          ),
        )?.[1],
      );
    const first = await expiry();
    expect(first).toBeGreaterThan(0);
    await expect.poll(expiry, { timeout: 14_000 }).toBeGreaterThan(first + 5_000);
    expect((await sent).status).toBe(200);
    expect(await settledRequest(stage, "lasting")).toMatchObject({ usage_source: "provider" });
  });

  it("that Redis lost is charged by its request id", async () => {
    const before = await receivedCount(stage);
    const sent = sending("[upstream: slow=1000]", "lost");
    await arrived(before);
    const lose = "for _, key in ipairs(redis.call('KEYS', 'hold:*')) do redis.call('DEL', key) end ";
    await redisScript(
      `${lose} for _, key in ipairs(redis.call('KEYS', 'charge:*:lost')) do redis.call('DEL', key) end`,
    );
    const answer = await sent;
    expect([answer.status, (await settledRequest(stage, "lost")).deduction_id]).toEqual([
      200,
      answer.headers.get("x-drawdown-deduction-id"),
    ]);
  });
});
