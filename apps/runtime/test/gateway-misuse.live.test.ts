import { connect } from "node:net";
import { formatUnits, parseUnits } from "@drawdown/billing";
import { freePort } from "@drawdown/local-stack";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  answers,
  balanceOf,
  type Key,
  openStage,
  post,
  receivedCount,
  type Stage,
  settledRequest,
  start,
} from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage?.stop());

const say = (content: string) => [{ role: "user", content }];
const valid = {
  "/v1/chat/completions": { model: "gpt-4o", messages: say("hi") },
  "/v1/responses": { model: "gpt-4o", input: "hi" },
  "/v1/messages": { model: "claude-sonnet-4-6", max_tokens: 9, messages: say("hi") },
  "/v1/embeddings": { model: "text-embedding-3-small", input: "hi" },
};
const paths = Object.keys(valid) as (keyof typeof valid)[];

/** Sets what an account has in all, as an operator's SQL does, and waits until it can be spent. What is drawn is settled before. */
async function setBalance(key: Key, units: string): Promise<void> {
  await expect
    .poll(async () => (await settledBalance(key)) === (await balanceOf(stage, key)).balance, { timeout: 15_000 })
    .toBe(true);
  await stage.db.$client.query("UPDATE data.account_balance SET balance = $2 WHERE id = $1", [
    key.account_balance_id,
    units,
  ]);
  await expect
    .poll(async () => (await balanceOf(stage, key)).balance, { timeout: 5_000 })
    .toBe(formatUnits(parseUnits(units)));
}

async function settledBalance(key: Key): Promise<string> {
  const sql = "SELECT balance FROM data.account_balance WHERE id = $1";
  return (await stage.db.$client.query<{ balance: string }>(sql, [key.account_balance_id])).rows[0]?.balance ?? "";
}

/** Sends bytes as they are and reads until the connection ends, or the answer's end. */
async function raw(text: string): Promise<string> {
  const socket = connect(Number(stage.env["GATEWAY_PORT"]), "127.0.0.1");
  socket.write(text);
  let answer = "";
  for await (const bytes of socket) {
    answer += String(bytes);
    if (answer.includes("}}")) break;
  }
  socket.destroy();
  return answer;
}

describe.each(paths)("%s refuses what cannot be meant, and reaches no provider", (path) => {
  const send = (body: unknown, headers = {}) => post(stage.gatewayUrl + path, stage.user1.api_key, body, headers);

  it("422 for fields of the wrong kind", async () => {
    const received = await receivedCount(stage);
    const wrong: object[] = [{ model: 7 }, { model: "" }, { stream: "yes" }, { stream: 1 }, { request_id: "" }];
    if (path === "/v1/chat/completions")
      for (const limit of [-1, 0, 1.5, "9", 1e10]) wrong.push({ max_tokens: limit }, { max_completion_tokens: limit });
    if (path === "/v1/chat/completions") wrong.push({ n: 0 }, { n: -1 }, { n: 129 }, { messages: [] });
    if (path === "/v1/messages") wrong.push({ max_tokens: -1 }, { max_tokens: "9" }, { messages: {} });
    if (path === "/v1/responses") wrong.push({ max_output_tokens: -1 }, { background: true }, { input: 5 });
    if (path === "/v1/embeddings") wrong.push({ input: [] }, { input: undefined }, { stream: true });
    for (const fields of wrong) {
      const answer = await send({ ...valid[path], ...fields });
      expect([fields, answer.status, await answer.json()]).toMatchObject([
        fields,
        422,
        { error: { code: "invalid_request" } },
      ]);
    }
    expect(await receivedCount(stage)).toBe(received);
  });

  it("404 for a model that its provider does not serve there", async () => {
    const model = path === "/v1/messages" ? "gpt-4o" : path === "/v1/chat/completions" ? "nobody" : "claude-sonnet-4-6";
    const answer = await send({ ...valid[path], model });
    expect([answer.status, await answer.json()]).toMatchObject([404, { error: { code: "model_not_priced" } }]);
  });

  it("402 with what is required, when not even the prompt is covered", async () => {
    await setBalance(stage.user2, "0.000000001");
    const answer = await post(stage.gatewayUrl + path, stage.user2.api_key, valid[path]);
    const { error } = (await answer.json()) as { error: { required: string; available: string } };
    expect([answer.status, error]).toMatchObject([402, { code: "insufficient_balance", available: "0.000000001" }]);
    expect(parseUnits(error.required)).toBeGreaterThan(1n);
  });
});

describe("what is no proper request", () => {
  const head = (more: string[]) =>
    ["POST /v1/chat/completions HTTP/1.1", "host: x", "content-type: application/json", ...more, "", ""].join("\r\n");
  const key = () => `authorization: Bearer ${stage.user1.api_key}`;
  const body = JSON.stringify(valid["/v1/chat/completions"]);
  const length = `content-length: ${body.length}`;

  it("headers that decide who pays or what is a repeat are refused when they stand twice", async () => {
    const received = await receivedCount(stage);
    for (const twice of [
      [key(), `authorization: Bearer ${stage.user2.api_key}`],
      [key(), "idempotency-key: a", "idempotency-key: b"],
      [key(), "content-type: text/plain"],
    ])
      expect(await raw(head([...twice, length]) + body)).toMatch(/^HTTP\/1.1 422 [\s\S]*stands twice/);
    expect(await receivedCount(stage)).toBe(received);
  });

  it("chunks that are none, a length that is none, and garbage get the shape of every refusal, and harm nobody", async () => {
    const chunked = [key(), "transfer-encoding: chunked"];
    for (const text of [
      `${head(chunked)}zz\r\n{"model"`,
      `${head(chunked)}5\r\n{"modelmodel\r\n`,
      `${head(chunked)}ffffffffffffffffff\r\n`,
      head([key(), "content-length: -5"]),
      head([key(), "content-length: 5", "transfer-encoding: chunked"]),
      "\u0000\u0001garbage\r\n\r\n",
      head([key(), `x-long: ${"a".repeat(100_000)}`]),
    ]) {
      const answer = await raw(text);
      expect(answer).toMatch(/^HTTP\/1\.1 422 /);
      expect(answer).toMatch(/x-request-id: req_/);
      expect(answer).toMatch(/"code":"invalid_request"/);
    }
    expect((await post(`${stage.gatewayUrl}/v1/responses`, stage.user1.api_key, valid["/v1/responses"])).status).toBe(
      200,
    );
  });

  it("a prompt of 12 MB is counted while others are served", async () => {
    const prompt = "every balance tells a story ".repeat(450_000);
    const big = post(`${stage.gatewayUrl}/v1/chat/completions`, stage.user1.api_key, {
      model: "gpt-4o",
      messages: say(prompt),
      max_tokens: 1,
      request_id: "huge",
    });
    const small = await post(`${stage.gatewayUrl}/v1/responses`, stage.user1.api_key, valid["/v1/responses"]);
    expect([small.status, (await big).status]).toEqual([200, 200]);
    expect(await settledRequest(stage, "huge")).toMatchObject({ usage_source: "provider" });
  });
});

describe("an account that has little", () => {
  const chat = (body: object) => post(`${stage.gatewayUrl}/v1/chat/completions`, stage.tenant1.api_key, body);
  const ask = (content: string, more: object = {}) => ({ model: "gpt-4o", messages: say(content), ...more });
  const availables: bigint[] = [];
  const required = async (body: object) => {
    await setBalance(stage.tenant1, "0.000000001");
    return parseUnits(((await (await chat(body)).json()) as { error: { required: string } }).error.required);
  };

  it("2: of fifty requests at once ten are covered, ten are served, and holds take nothing below zero", async () => {
    const body = ask("[upstream: slow=1500] ten", { max_tokens: 512 });
    await setBalance(stage.tenant1, formatUnits(10n * (await required(body))));
    const received = await receivedCount(stage);
    const done = new AbortController();
    const all = Promise.all(Array.from({ length: 50 }, () => chat(body))).finally(() => done.abort());
    while (!done.signal.aborted) availables.push(parseUnits((await balanceOf(stage, stage.tenant1)).available));
    const statuses = (await all).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(10);
    expect(statuses.filter((status) => status === 402)).toHaveLength(40);
    expect(await receivedCount(stage)).toBe(received + 10);
    expect(availables.every((available) => available >= 0n)).toBe(true);
    expect(availables).toContain(0n);
    const after = await balanceOf(stage, stage.tenant1);
    expect([after.held, after.available]).toEqual(["0.000000000", after.balance]);
  });

  it("2: what covers the prompt and a short answer is enough, unless the policy is worst_case", async () => {
    const body = ask("short", {});
    const least = await required(body);
    await setBalance(stage.tenant1, formatUnits(least - 1n));
    expect((await chat(body)).status).toBe(402);
    await setBalance(stage.tenant1, formatUnits(least));
    expect((await chat(body)).status).toBe(200);
    const port = String(await freePort());
    const strict = start(["gateway", "--port", port], { ...stage.env, HOLD_POLICY: "worst_case" });
    await answers(`http://127.0.0.1:${port}/readyz`, 200);
    await setBalance(stage.tenant1, formatUnits(least));
    const url = `http://127.0.0.1:${port}/v1/chat/completions`;
    expect((await post(url, stage.tenant1.api_key, body)).status).toBe(402);
    strict.signal("SIGTERM");
    expect(await strict.exited).toMatchObject({ code: 0 });
    expect(await (await fetch(`${stage.gatewayUrl}/metrics`)).text()).toMatch(
      /drawdown_holds_total\{outcome="held_less"\} 1/,
    );
  });

  it("2: who is taken for rich and is no more is held by what was counted, and not refused", async () => {
    const body = ask("short", { max_tokens: 512 });
    const least = await required(body);
    await setBalance(stage.tenant1, "1000");
    expect((await chat(body)).status).toBe(200);
    // What the call above cost is settled: setBalance waits for it.
    await setBalance(stage.tenant1, formatUnits(least));
    expect((await chat(body)).status).toBe(200);
  });

  it("2: a cost above its hold is charged, shows as overdue, stops the next request, and is paid by the next credit", async () => {
    const body = ask("[upstream: tokens=3000] long");
    const least = await required(body);
    await setBalance(stage.tenant1, formatUnits(least));
    const answer = await chat(body);
    expect(answer.status).toBe(200);
    const balance = await (async () =>
      (await (
        await fetch(`${stage.gatewayUrl}/v1/balance`, { headers: { "x-api-key": stage.tenant1.api_key } })
      ).json()) as { balance: string; overdue_amount: string })();
    const short = parseUnits(answer.headers.get("x-drawdown-cost") ?? "0") - least;
    expect(short).toBeGreaterThan(0n);
    expect(balance).toMatchObject({ balance: formatUnits(-short), overdue_amount: formatUnits(short) });
    expect((await chat(ask("more"))).status).toBe(402);
    await expect.poll(() => settledBalance(stage.tenant1), { timeout: 15_000 }).toBe(formatUnits(-short));
    await stage.db.$client.query("UPDATE data.account_balance SET balance = balance + 1 WHERE id = $1", [
      stage.tenant1.account_balance_id,
    ]);
    await expect
      .poll(async () => (await balanceOf(stage, stage.tenant1)).balance, { timeout: 5_000 })
      .toBe(formatUnits(parseUnits("1") - short));
    expect((await chat(ask("more"))).status).toBe(200);
  });
});
