import { randomUUID } from "node:crypto";
import { freePort, waitFor } from "@drawdown/local-stack";
import { afterAll, beforeAll, expect, it } from "vitest";
import { answers, balanceOf, openStage, post, receivedCount, run, type Stage, start } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage?.stop());

const ask = (wish: string, stream = false) => ({
  model: "gpt-4o",
  max_tokens: 50,
  messages: [{ role: "user", content: `[upstream: ${wish}] Hello` }],
  ...(stream ? { stream: true } : {}),
});

it("5: a gateway killed with 100 requests in flight: all holds are released by expiry, nothing is charged twice or without service, and each is accounted for", async () => {
  const port = await freePort();
  const doomed = start(["gateway", "--port", String(port)], stage.env);
  const url = `http://127.0.0.1:${port}`;
  await answers(`${url}/readyz`, 200);
  const { api_key: key } = stage.user1;
  const before = await balanceOf(stage, stage.user1);
  const send = async (body: object) => {
    const request_id = randomUUID();
    const text = await post(`${url}/v1/chat/completions`, key, { ...body, request_id })
      .then((response) => response.text())
      .catch(() => undefined);
    return { request_id, whole: text !== undefined, body };
  };
  const done = await Promise.all(Array.from({ length: 20 }, () => send(ask("slow=1"))));
  expect(done.every(({ whole }) => whole)).toBe(true);
  const inFlight = Array.from({ length: 100 }, (_, i) =>
    send(i % 3 === 0 ? ask("hang") : i % 3 === 1 ? ask("pace=2000", true) : ask("slow=60000")),
  );
  await waitFor(async () => (await receivedCount(stage)) === 120, { timeoutMs: 20_000, what: "all to be in flight" });
  doomed.signal("SIGKILL");
  const cut = await Promise.all(inFlight);
  expect(cut.every(({ whole }) => !whole)).toBe(true);
  expect((await balanceOf(stage, stage.user1)).available).not.toBe((await balanceOf(stage, stage.user1)).balance);
  await waitFor(
    async () => {
      const { balance, available } = await balanceOf(stage, stage.user1);
      return balance === available;
    },
    { timeoutMs: 60_000, what: "all holds to be released" },
  );
  const { rows } = await stage.db.$client.query<{ request_id: string }>(
    "SELECT request_id FROM data.usage_log WHERE settled_at IS NOT NULL",
  );
  expect(rows.map((row) => row.request_id).toSorted()).toEqual(done.map(({ request_id }) => request_id).toSorted());
  const listed = await run(["uncaptured", "--json", "--limit", "1000"], stage.env);
  const { holds } = JSON.parse(listed.stdout) as { holds: { request_id: string }[] };
  expect(holds.map(({ request_id }) => request_id).toSorted()).toEqual(
    cut.map(({ request_id }) => request_id).toSorted(),
  );
  const alerts = await stage.db.$client.query("SELECT details FROM data.alert WHERE kind = 'served_not_captured'");
  expect(alerts.rows).toMatchObject([{ details: { holds: 100 } }]);
  // Whoever asks again does not reach the provider twice.
  const [one] = cut;
  const again = await post(`${stage.gatewayUrl}/v1/chat/completions`, key, {
    ...one?.body,
    request_id: one?.request_id,
  });
  expect([again.status, await receivedCount(stage)]).toEqual([409, 120]);
  for (const check of ["verify-chain", "reconcile"]) expect((await run([check, "--json"], stage.env)).code).toBe(0);
  expect((await balanceOf(stage, stage.user1)).balance).not.toBe(before.balance);
}, 120_000);
