import { randomUUID } from "node:crypto";
import { waitFor } from "@drawdown/local-stack";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { balanceOf, type Key, openStage, post, type Stage, settled } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage?.stop());

type Answer = Record<string, string> & { error?: { code: string; message: string; required?: string } };

const holdsUrl = () => `${stage.gatewayUrl}/v1/holds`;
const ask = async (response: Promise<Response>) => {
  const answered = await response;
  return { status: answered.status, headers: answered.headers, body: (await answered.json()) as Answer };
};
const hold = (key: Key, body: object) => ask(post(holdsUrl(), key.api_key, body));
const capture = (key: Key, id: string, body: object) => ask(post(`${holdsUrl()}/${id}/capture`, key.api_key, body));
const release = (key: Key, id: string) =>
  ask(fetch(`${holdsUrl()}/${id}`, { method: "DELETE", headers: { authorization: `Bearer ${key.api_key}` } }));

describe("holds of other people's gateways", () => {
  it("a hold lowers what is available, its capture draws the cost, and the row is settled under the hold's id", async () => {
    const key = stage.user1;
    const before = await balanceOf(stage, key);
    const request = { amount: "0.5", request_id: randomUUID(), ttl_s: 60 };
    const held = await hold(key, request);
    expect(held).toMatchObject({ status: 200, body: { amount: "0.500000000" } });
    const { hold_id: id = "", expires_at: expiresAt = "", available } = held.body;
    expect(Date.parse(expiresAt) - Date.now()).toBeGreaterThan(30_000);
    expect(await balanceOf(stage, key)).toMatchObject({ balance: before.balance, held: "0.500000000", available });
    expect(await hold(key, request)).toMatchObject({ status: 200, body: held.body });
    const usage = { prompt_tokens: 1_000, completion_tokens: 10 };
    const captured = await capture(key, id, { provider: "openai", model: "gpt-4o", usage });
    expect(captured).toMatchObject({ status: 200, body: { deduction_id: id, balance_before: before.balance } });
    expect(captured.headers.get("x-drawdown-deduction-id")).toBe(id);
    expect(await balanceOf(stage, key)).toMatchObject({ held: "0.000000000", balance: captured.body["balance_after"] });
    expect(await settled(stage, id)).toMatchObject({
      request_id: request.request_id,
      cost: captured.body["cost"],
      model: "gpt-4o",
      usage_source: "reported",
    });
    const again = await capture(key, id, { provider: "openai", model: "gpt-4o", usage });
    expect(again).toMatchObject({ status: 200, body: captured.body });
    expect(await capture(key, id, { amount: "0.4" })).toMatchObject({
      status: 409,
      body: { error: { code: "idempotency_conflict" } },
    });
    expect(await release(key, id)).toMatchObject({ status: 409, body: { error: { code: "hold_closed" } } });
  });

  it("a released hold gives everything back, is released again alike, and cannot be captured", async () => {
    const key = stage.user1;
    const before = await balanceOf(stage, key);
    const { body } = await hold(key, { model: "gpt-4o", usage: { prompt_tokens: 1_000, completion_tokens: 1_000 } });
    const id = body["hold_id"] ?? "";
    const first = await release(key, id);
    expect(first).toMatchObject({ status: 200, body: { hold_id: id, status: "voided" } });
    expect((await release(key, id)).body).toEqual(first.body);
    expect(await capture(key, id, { amount: "1" })).toMatchObject({
      status: 409,
      body: { error: { code: "hold_closed" } },
    });
    expect(await balanceOf(stage, key)).toEqual(before);
  });

  it("5: what its opener forgets is released by the worker after it expires, and a late capture is drawn all the same", async () => {
    const key = stage.user2;
    const before = await balanceOf(stage, key);
    const { body } = await hold(key, { amount: "0.25", ttl_s: 1 });
    expect((await balanceOf(stage, key)).available).not.toBe(before.available);
    await waitFor(async () => (await balanceOf(stage, key)).available === before.available, {
      timeoutMs: 15_000,
      what: "the hold to be released",
    });
    const late = await capture(key, body["hold_id"] ?? "", { amount: "0.3", provider: "elsewhere" });
    expect(late).toMatchObject({ status: 200, body: { cost: "0.300000000" } });
    expect(await settled(stage, body["hold_id"] ?? "")).toMatchObject({ provider: "elsewhere", model: "external" });
  });

  it("what cannot be held, or is not the caller's, is refused and moves no money", async () => {
    const key = stage.user1;
    const before = await balanceOf(stage, key);
    const bad = [0, -1, 1, "0", "-1", "NaN", "1e30", `1${"0".repeat(30)}`, "0.0000000001", "", null, "Infinity", {}];
    for (const amount of bad)
      expect(await hold(key, { amount }), JSON.stringify(amount)).toMatchObject({
        status: 422,
        body: { error: { code: "invalid_request" } },
      });
    for (const body of [
      {},
      { amount: "1", usage: {} },
      { amount: "1", ttl_s: 0 },
      { amount: "1", ttl_s: 1e9 },
      { amount: "1", requestid: "x" },
    ])
      expect((await hold(key, body)).status, JSON.stringify(body)).toBe(422);
    expect(await hold(key, { amount: "999999" })).toMatchObject({
      status: 402,
      body: { error: { code: "insufficient_balance", required: "999999.000000000", held: "0.000000000" } },
    });
    expect(await hold(key, { model: "no-such-model", usage: {} })).toMatchObject({ status: 404 });
    const { body } = await hold(key, { amount: "0.1" });
    const id = body["hold_id"] ?? "";
    for (const [who, what] of [
      [stage.user2, id],
      [key, "ded_1_00000000000000000000"],
      [key, "%00"],
      [key, "x".repeat(600)],
    ] as const) {
      expect(await capture(who, what, { amount: "0.1" }), what).toMatchObject({
        status: 404,
        body: { error: { code: "hold_not_found" } },
      });
      expect(await release(who, what), what).toMatchObject({ status: 404 });
    }
    for (const amount of ["-1", "NaN", 5]) expect((await capture(key, id, { amount })).status).toBe(422);
    expect((await release(key, id)).status).toBe(200);
    expect(await balanceOf(stage, key)).toEqual(before);
  });
});
