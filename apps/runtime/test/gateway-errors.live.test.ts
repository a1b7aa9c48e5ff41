import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { balanceOf, type Key, openStage, post, receivedCount, type Stage } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage?.stop());

const ask = { model: "gpt-4o", messages: [{ role: "user", content: "Hello" }] };
type Refused = {
  error: { message: string; type: string; code: string; balance?: string; held?: string; required?: string };
};

/** Asserts the refusal, and that neither the provider was reached nor money moved. */
async function expectRefused(
  send: () => Promise<Response>,
  expected: { status: number; code: string },
  key: Key = stage.user1,
): Promise<{ response: Response; error: Refused["error"] }> {
  const [balance, received] = [(await balanceOf(stage, stage.user1)).balance, await receivedCount(stage)];
  const response = await send();
  const text = await response.text();
  expect({ status: response.status, text }).toMatchObject({ status: expected.status });
  const { error } = JSON.parse(text) as Refused;
  expect(error).toMatchObject({ code: expected.code, message: expect.any(String), type: expect.any(String) });
  expect(response.headers.get("x-request-id")).toBeTruthy();
  expect(await receivedCount(stage)).toBe(received);
  if (key === stage.user1) expect((await balanceOf(stage, stage.user1)).balance).toBe(balance);
  return { response, error };
}

const chatUrl = () => `${stage.gatewayUrl}/v1/chat/completions`;
const chargesUrl = () => `${stage.gatewayUrl}/v1/charges`;
const charge = { provider: "openai", model: "gpt-4o", usage: { prompt_tokens: 1, completion_tokens: 1 } };

describe("a refusal has the contract's shape, reaches no provider and moves no money", () => {
  it("401 invalid_api_key: no key, a wrong secret, an unknown key and half a key get the same answer", async () => {
    const bodies = new Set<string>();
    const wrong = `${stage.user1.virtual_key}.${"A".repeat(43)}`;
    for (const apiKey of [
      wrong,
      `vk_unknown.${"A".repeat(43)}`,
      stage.user1.virtual_key,
      `${stage.user1.api_key}x`,
      "",
    ]) {
      const { error } = await expectRefused(() => post(chatUrl(), apiKey, ask), {
        status: 401,
        code: "invalid_api_key",
      });
      bodies.add(JSON.stringify(error));
    }
    const none = await expectRefused(() => fetch(chatUrl(), { method: "POST", body: JSON.stringify(ask) }), {
      status: 401,
      code: "invalid_api_key",
    });
    bodies.add(JSON.stringify(none.error));
    expect(bodies.size).toBe(1);
  });

  it("401 invalid_api_key: a revoked key at once, an expired one from its moment on", async () => {
    expect((await post(chargesUrl(), stage.tenant2.api_key, { ...charge, request_id: "before-revoking" })).status).toBe(
      200,
    );
    await stage.db.$client.query("UPDATE data.virtual_key SET revoked_at = now() WHERE virtual_key = $1", [
      stage.tenant2.virtual_key,
    ]);
    await expect.poll(async () => (await post(chargesUrl(), stage.tenant2.api_key, charge)).status).toBe(401);
    await stage.db.$client.query(
      "UPDATE data.virtual_key SET expires_at = now() - interval '1 s' WHERE virtual_key = $1",
      [stage.tenant1.virtual_key],
    );
    await expect.poll(async () => (await post(chargesUrl(), stage.tenant1.api_key, charge)).status).toBe(401);
    await stage.db.$client.query("UPDATE data.virtual_key SET expires_at = NULL WHERE virtual_key = $1", [
      stage.tenant1.virtual_key,
    ]);
    await expect.poll(async () => (await post(chargesUrl(), stage.tenant1.api_key, charge)).status).toBe(200);
  });

  it("401 invalid_api_key: seeding again voids the old secrets", async () => {
    const old = stage.user2.api_key;
    expect((await post(chargesUrl(), old, charge)).status).toBe(200);
    const again = await stage.seed();
    expect(again.keys.map((key) => key.virtual_key)).toEqual(
      [stage.user1, stage.user2, stage.tenant1, stage.tenant2].map((key) => key.virtual_key),
    );
    await expect.poll(async () => (await post(chargesUrl(), old, charge)).status).toBe(401);
    for (const mine of [stage.user1, stage.user2, stage.tenant1]) {
      const renewed = again.keys.find(({ virtual_key }) => virtual_key === mine.virtual_key);
      mine.api_key = renewed?.api_key ?? "";
    }
    expect((await post(chargesUrl(), stage.user2.api_key, charge)).status).toBe(200);
  });

  it("402 insufficient_balance: with balance, held and required, and the client told not to retry", async () => {
    const lower = (by: string) =>
      stage.db.$client.query("UPDATE data.account_balance SET balance = balance - $2 WHERE id = $1", [
        stage.user1.account_balance_id,
        by,
      ]);
    const rich = (await balanceOf(stage, stage.user1)).balance;
    await lower("999.99");
    await expect.poll(async () => (await balanceOf(stage, stage.user1)).balance, { timeout: 5_000 }).not.toBe(rich);
    const { response, error } = await expectRefused(
      () => post(chatUrl(), stage.user1.api_key, { ...ask, model: "o1-pro" }),
      { status: 402, code: "insufficient_balance" },
    );
    const balance = (await balanceOf(stage, stage.user1)).balance;
    await lower("-999.99");
    await expect.poll(async () => (await balanceOf(stage, stage.user1)).balance, { timeout: 5_000 }).toBe(rich);
    expect(error).toMatchObject({ balance, held: "0.000000000", required: expect.stringMatching(/^\d+\.\d{9}$/) });
    expect(Number(error.required)).toBeGreaterThan(Number(balance));
    expect(response.headers.get("x-should-retry")).toBe("false");
    await expectRefused(
      () =>
        post(chargesUrl(), stage.user1.api_key, { ...charge, usage: { prompt_tokens: 9e12, completion_tokens: 0 } }),
      { status: 402, code: "insufficient_balance" },
    );
  });

  it("403 account_frozen: on both routes", async () => {
    const freeze = (status: string) =>
      stage.db.$client.query("UPDATE data.account_balance SET status = $2 WHERE id = $1", [
        stage.user2.account_balance_id,
        status,
      ]);
    await freeze("frozen");
    await expect.poll(async () => (await post(chargesUrl(), stage.user2.api_key, charge)).status).toBe(403);
    await expectRefused(
      () => post(chargesUrl(), stage.user2.api_key, charge),
      { status: 403, code: "account_frozen" },
      stage.user2,
    );
    await expectRefused(
      () => post(chatUrl(), stage.user2.api_key, ask),
      { status: 403, code: "account_frozen" },
      stage.user2,
    );
    await freeze("active");
    await expect.poll(async () => (await post(chargesUrl(), stage.user2.api_key, charge)).status).toBe(200);
  });

  it("404 model_not_priced: a model, a provider, or a currency without a price", async () => {
    const expected = { status: 404, code: "model_not_priced" };
    const key = stage.user1.api_key;
    await expectRefused(() => post(chatUrl(), key, { ...ask, model: "no-such-model" }), expected);
    await expectRefused(() => post(chargesUrl(), key, { ...charge, provider: "no-such-provider" }), expected);
    await expectRefused(() => post(chargesUrl(), key, { ...charge, model: "no-such-model" }), expected);
  });

  it("404 not_found: an unknown route and an unknown method, whoever asks", async () => {
    await expectRefused(() => post(`${stage.gatewayUrl}/v1/nothing`, stage.user1.api_key, ask), {
      status: 404,
      code: "not_found",
    });
    await expectRefused(() => fetch(chargesUrl()), { status: 404, code: "not_found" });
    const messages = await post(`${stage.gatewayUrl}/v1/messages/nothing`, stage.user1.api_key, ask);
    expect(await messages.json()).toMatchObject({ type: "error", error: { code: "not_found" } });
  });

  it("413 body_too_large: 20 MB of body, with and without a length, is answered and not cut off", async () => {
    const body = Buffer.alloc(20_000_000, "a");
    const expected = { status: 413, code: "body_too_large" };
    await expectRefused(() => post(chatUrl(), stage.user1.api_key, body), expected);
    await expectRefused(
      () =>
        fetch(chargesUrl(), {
          method: "POST",
          headers: { authorization: `Bearer ${stage.user1.api_key}` },
          body: new Blob([body]).stream(),
          duplex: "half",
        }),
      expected,
    );
  });

  it("422 invalid_request: no JSON, the wrong shape, and fields that could be misread", async () => {
    const expected = { status: 422, code: "invalid_request" };
    const key = stage.user1.api_key;
    for (const body of [
      "",
      "{",
      "[]",
      "null",
      '"text"',
      '{"model":"gpt-4o"}',
      '{"model":"","messages":[{"role":"user"}]}',
    ]) {
      await expectRefused(() => post(chatUrl(), key, body), expected);
    }
    await expectRefused(() => post(chatUrl(), key, { ...ask, max_tokens: -1 }), expected);
    await expectRefused(() => post(chatUrl(), key, { ...ask, max_tokens: 1.5 }), expected);
    await expectRefused(() => post(chatUrl(), key, { ...ask, stream: "yes" }), expected);
    await expectRefused(
      () => post(chatUrl(), key, `{"model":"gpt-4o","messages":${"[".repeat(100_000)}${"]".repeat(100_000)}}`),
      expected,
    );
    for (const usage of [
      undefined,
      {},
      { prompt_tokens: -1 },
      { prompt_tokens: "1" },
      { completion_tokens: 5 },
      [],
      7,
    ]) {
      await expectRefused(() => post(chargesUrl(), key, { ...charge, usage }), expected);
    }
    await expectRefused(() => post(chargesUrl(), key, { ...charge, requestId: "misspelt" }), expected);
    await expectRefused(() => post(chargesUrl(), key, { ...charge, request_id: "x".repeat(513) }), expected);
    await expectRefused(
      () => post(chargesUrl(), key, { ...charge, request_id: "a" }, { "idempotency-key": "b" }),
      expected,
    );
  });

  it("502 upstream_error: a provider that gives no answer, or breaks off before its first word, is not charged", async () => {
    const balance = (await balanceOf(stage, stage.user1)).balance;
    const brokenOff = { ...ask, messages: [{ role: "user", content: "[upstream: cut=0, tokens=0] Hello" }] };
    const answer = await post(chatUrl(), stage.user1.api_key, brokenOff);
    expect([answer.status, await answer.json()]).toMatchObject([502, { error: { code: "upstream_error" } }]);
    await stage.db.$client.query("UPDATE data.provider SET base_url = 'http://127.0.0.1:9' WHERE name = 'mistral'");
    const unreachable = (key: Key, stream: boolean) =>
      post(chatUrl(), key.api_key, { ...ask, stream, model: "mistral-large-latest" });
    await expect.poll(async () => (await unreachable(stage.user2, false)).status).toBe(502);
    for (const stream of [false, true]) {
      await expectRefused(() => unreachable(stage.user1, stream), { status: 502, code: "upstream_error" });
    }
    expect((await balanceOf(stage, stage.user1)).balance).toBe(balance);
  });
});
