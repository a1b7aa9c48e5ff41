import { freePort } from "@drawdown/local-stack";
import { afterAll, beforeAll, expect, it } from "vitest";
import { answers, openStage, post, receivedCount, type Stage, type Started, settledRequest, start } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage?.stop());

/** A gateway beside the stage's own that takes on two requests at once. */
async function smallGateway(): Promise<{ url: string; gateway: Started }> {
  const port = String(await freePort());
  const gateway = start(["gateway", "--port", port], { ...stage.env, GATEWAY_MAX_IN_FLIGHT: "2" });
  const url = `http://127.0.0.1:${port}`;
  await answers(`${url}/readyz`, 200);
  return { url, gateway };
}

function ask(url: string, content: string, more: { signal?: AbortSignal; id?: string; stream?: boolean } = {}) {
  const { signal = null, id, stream = false } = more;
  return fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${stage.user1.api_key}`,
      "content-type": "application/json",
      ...(id === undefined ? {} : { "idempotency-key": id }),
    },
    body: JSON.stringify({ model: "gpt-4o", messages: [{ role: "user", content }], stream }),
    signal,
  });
}

it("6: a gateway takes on so many requests and no more: the next is told to ask again, and a hold's end is never refused", async () => {
  const { url, gateway } = await smallGateway();
  const held = await post(`${url}/v1/holds`, stage.user1.api_key, { amount: "0.01", request_id: "room", ttl_s: 60 });
  const { hold_id } = (await held.json()) as { hold_id: string };
  const before = await receivedCount(stage);
  const leave = new AbortController();
  const { signal } = leave;
  const hanging = [1, 2].map(() => ask(url, "[upstream: hang] hi", { signal }).catch(() => undefined));
  await expect.poll(() => receivedCount(stage), { timeout: 10_000 }).toBe(before + 2);

  const refused = await ask(url, "hi");
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
  expect(await refused.json()).toMatchObject({ error: { code: "billing_unavailable" } });
  expect(await receivedCount(stage)).toBe(before + 2);
  expect((await post(`${url}/v1/holds/${hold_id}/capture`, stage.user1.api_key, { amount: "0.01" })).status).toBe(200);

  leave.abort();
  await Promise.all(hanging);
  await expect.poll(async () => (await ask(url, "hi")).status, { timeout: 10_000 }).toBe(200);
  gateway.signal("SIGKILL");
  await gateway.exited;
});

it("4, 6: of calls whose client left, as many are read on as a gateway takes on; beyond that the longest left is ended, and charged by what came", async () => {
  const { url, gateway } = await smallGateway();
  await fetch(`${stage.upstreamUrl}/requests`, { method: "DELETE" });
  // Each says three words and then nothing more: without a bound it is read on for the minute of DRAIN_SECONDS.
  for (const id of ["left-1", "left-2", "left-3", "left-4"]) {
    const leave = new AbortController();
    const answer = await ask(url, "[upstream: stall=3] hi", { signal: leave.signal, id, stream: true });
    await answer.body?.getReader().read();
    leave.abort();
  }
  for (const id of ["left-1", "left-2"]) expect((await settledRequest(stage, id)).usage_source).toBe("partial");
  const { requests } = (await (await fetch(`${stage.upstreamUrl}/requests`)).json()) as {
    requests: { aborted: boolean }[];
  };
  expect(requests.map(({ aborted }) => aborted)).toEqual([true, true, false, false]);
  gateway.signal("SIGKILL");
  await gateway.exited;
});
