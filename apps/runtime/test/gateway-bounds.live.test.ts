import { freePort } from "@drawdown/local-stack";
import { afterAll, beforeAll, expect, it } from "vitest";
import { answers, openStage, post, receivedCount, type Stage, start } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage?.stop());

it("6: a gateway takes on so many requests and no more: the next is told to ask again, and a hold's end is never refused", async () => {
  const port = String(await freePort());
  const small = start(["gateway", "--port", port], { ...stage.env, GATEWAY_MAX_IN_FLIGHT: "2" });
  const url = `http://127.0.0.1:${port}`;
  await answers(`${url}/readyz`, 200);
  const ask = (content: string, signal?: AbortSignal) =>
    fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${stage.user1.api_key}`, "content-type": "application/json" },
      body: JSON.stringify({ model: "gpt-4o", messages: [{ role: "user", content }] }),
      signal: signal ?? null,
    });
  const held = await post(`${url}/v1/holds`, stage.user1.api_key, { amount: "0.01", request_id: "room", ttl_s: 60 });
  const { hold_id } = (await held.json()) as { hold_id: string };
  const before = await receivedCount(stage);
  const leave = new AbortController();
  const hanging = [1, 2].map(() => ask("[upstream: hang] hi", leave.signal).catch(() => undefined));
  await expect.poll(() => receivedCount(stage), { timeout: 10_000 }).toBe(before + 2);

  const refused = await ask("hi");
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
  expect(await refused.json()).toMatchObject({ error: { code: "billing_unavailable" } });
  expect(await receivedCount(stage)).toBe(before + 2);
  expect((await post(`${url}/v1/holds/${hold_id}/capture`, stage.user1.api_key, { amount: "0.01" })).status).toBe(200);

  leave.abort();
  await Promise.all(hanging);
  await expect.poll(async () => (await ask("hi")).status, { timeout: 10_000 }).toBe(200);
  small.signal("SIGKILL");
  await small.exited;
});
