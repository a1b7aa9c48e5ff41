import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { formatUnits, parseUnits } from "@drawdown/billing";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  balanceOf,
  type Key,
  openStage,
  post,
  providerKey,
  receivedCount,
  type Stage,
  settled,
  settledRequest,
} from "./stage.ts";

let stage: Stage;
let openai: OpenAI;
beforeAll(async () => {
  stage = await openStage();
  openai = clientOf(stage.user1);
});
afterAll(() => stage?.stop());

const clientOf = (key: Key) => new OpenAI({ apiKey: key.api_key, baseURL: `${stage.gatewayUrl}/v1`, maxRetries: 0 });
const ask = (content: string) => ({ model: "gpt-4o", messages: [{ role: "user" as const, content }] });
const chatUrl = () => `${stage.gatewayUrl}/v1/chat/completions`;

/** gpt-4o: 2.50 and 10.00 for a million tokens in and out. */
const cost = (input: number, output: number) => formatUnits(BigInt(input) * 2_500n + BigInt(output) * 10_000n);

/** One command in Redis' own line protocol. */
async function redisCommand(line: string): Promise<void> {
  const socket = connect(stage.redis.port, "127.0.0.1");
  socket.write(`${line}\r\n`);
  const [reply] = await once(socket, "data");
  expect(String(reply)).toBe("+OK\r\n");
  socket.destroy();
}

describe("a chat completion through the official client", () => {
  it("is drawn down in Redis and settled in usage_log with balance before and after", async () => {
    const before = (await balanceOf(stage, stage.user1)).balance;
    const { data, response } = await openai.chat.completions.create(ask("What is a ledger?")).withResponse();
    expect(data.choices[0]?.message.content?.split(" ")).toHaveLength(12);
    const deductionId = response.headers.get("x-drawdown-deduction-id") ?? "";
    const after = formatUnits(parseUnits(before) - parseUnits(cost(5, 12)));
    expect(response.headers.get("x-drawdown-cost")).toBe(cost(5, 12));
    expect(response.headers.get("x-drawdown-balance-after")).toBe(after);
    expect((await balanceOf(stage, stage.user1)).balance).toBe(after);
    const row = await settled(stage, deductionId);
    expect(row).toMatchObject({
      cost: cost(5, 12),
      balance_before: before,
      balance_after: after,
      usage_source: "provider",
      provider: "openai",
      model: "gpt-4o",
      virtual_key: stage.user1.virtual_key,
      request_id: response.headers.get("x-request-id"),
      balance_check: "ok",
    });
    expect([Number(row.input_tokens), Number(row.output_tokens)]).toEqual([5, 12]);
    const { rows } = await stage.db.$client.query(
      `SELECT a.amount, b.balance, b.total_debits FROM data.account_balance_audit a JOIN data.account_balance b ON b.id = a.account_id
       WHERE a.deduction_id = $1`,
      [deductionId],
    );
    expect(rows).toMatchObject([{ amount: `-${cost(5, 12)}`, balance: after, total_debits: cost(5, 12) }]);
  });

  it("goes to the provider with the provider's key and without the client's", async () => {
    await fetch(`${stage.upstreamUrl}/requests`, { method: "DELETE" });
    await openai.chat.completions.create(ask("Whose key?"), { headers: { cookie: "session=client" } });
    const text = await (await fetch(`${stage.upstreamUrl}/requests`)).text();
    expect(text).not.toContain(stage.user1.api_key.split(".")[1]);
    expect(text).not.toContain("session=client");
    expect(text).toContain(createHash("sha256").update(`Bearer ${providerKey}`).digest("hex"));
  });

  it("costs cached tokens at their own price", async () => {
    const { response } = await openai.chat.completions
      .create(ask("[upstream: cached=8, tokens=1] cache me"))
      .withResponse();
    // 10 tokens in, of which 8 cached at 1.25 for a million.
    expect(response.headers.get("x-drawdown-cost")).toBe(formatUnits(2n * 2_500n + 8n * 1_250n + 10_000n));
  });

  it("names a model with its provider before it, and the provider gets the bare name", async () => {
    const { response, data } = await openai.chat.completions
      .create({ ...ask("Hello"), model: "openai/gpt-4o" })
      .withResponse();
    expect(data.model).toBe("gpt-4o");
    const row = await settled(stage, response.headers.get("x-drawdown-deduction-id") ?? "");
    expect(row).toMatchObject({ provider: "openai", model: "gpt-4o" });
  });

  it("lists only models that can be asked for, by names that work", async () => {
    const models = (await openai.models.list()).data;
    expect(models.length).toBeGreaterThan(150);
    expect(models.map(({ id }) => id)).toEqual(expect.arrayContaining(["gpt-4o", "text-embedding-3-small"]));
    for (const { id } of models.filter((_, index) => index % 40 === 0)) {
      const status = (await post(chatUrl(), stage.user2.api_key, { ...ask("hi"), model: id, max_tokens: 1 })).status;
      expect([id, status]).toEqual([id, 200]);
    }
  });
});

describe("a streamed completion", () => {
  const stream = async (content: string, options: object = {}, requestId?: string) => {
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    const made = await openai.chat.completions.create(
      { ...ask(content), stream: true, ...options },
      requestId === undefined ? {} : { headers: { "idempotency-key": requestId } },
    );
    for await (const chunk of made) chunks.push(chunk);
    return chunks;
  };
  const textOf = (chunks: OpenAI.ChatCompletionChunk[]) =>
    chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");

  it("is charged by the provider's usage, which a client that did not ask does not see", async () => {
    const plain = await openai.chat.completions.create(ask("Stream me"));
    const chunks = await stream("Stream me", {}, "stream-hidden");
    expect(textOf(chunks)).toBe(plain.choices[0]?.message.content);
    expect(chunks.every((chunk) => chunk.choices.length === 1 && chunk.usage == null)).toBe(true);
    expect(await settledRequest(stage, "stream-hidden")).toMatchObject({ usage_source: "provider", cost: cost(3, 12) });
  });

  it("shows the usage to a client that asked", async () => {
    const chunks = await stream("Stream me", { stream_options: { include_usage: true } }, "stream-shown");
    expect(chunks.at(-1)?.usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 12 });
    expect(await settledRequest(stage, "stream-shown")).toMatchObject({ usage_source: "provider" });
  });

  it("is byte for byte what the provider sent", async () => {
    const body = { ...ask("Same bytes"), stream: true, stream_options: { include_usage: true } };
    const direct = await (await post(`${stage.upstreamUrl}/v1/chat/completions`, "any", body)).text();
    expect(await (await post(chatUrl(), stage.user1.api_key, body)).text()).toBe(direct);
  });

  it("is on record before its end mark: a client that saw the end finds its balance drawn down", async () => {
    const before = parseUnits((await balanceOf(stage, stage.user1)).balance);
    const answer = await post(chatUrl(), stage.user1.api_key, { ...ask("[upstream: pace=30] mark"), stream: true });
    const reader = answer.body?.getReader();
    await reader?.read();
    // Redis takes no charge until then; the provider's end comes long before.
    const freeAgainMs = performance.now() + 1_500;
    await redisCommand("CLIENT PAUSE 1500 WRITE");
    let text = "";
    while (!text.includes("[DONE]")) text += Buffer.from((await reader?.read())?.value ?? "[DONE]").toString();
    expect(performance.now()).toBeGreaterThan(freeAgainMs - 50);
    expect((await balanceOf(stage, stage.user1)).balance).toBe(formatUnits(before - parseUnits(cost(6, 12))));
  });

  it("passes chunks on as they come, not at the end", async () => {
    const made = await openai.chat.completions.create({ ...ask("[upstream: pace=40]"), stream: true });
    const gaps: number[] = [];
    let last = performance.now();
    for await (const _ of made) {
      gaps.push(performance.now() - last);
      last = performance.now();
    }
    expect(gaps.filter((gap) => gap > 15).length).toBeGreaterThan(6);
  });

  it("cut by the provider is charged as far as it came, and the client is told", async () => {
    await expect(stream("[upstream: cut=3] four", {}, "stream-cut")).rejects.toThrow(/broke off/);
    const row = await settledRequest(stage, "stream-cut");
    expect(row.usage_source).toBe("partial");
    expect(Number(row.output_tokens)).toBeGreaterThanOrEqual(3);
    expect(Number(row.output_tokens)).toBeLessThan(12);
    expect(row.cost).toBe(cost(Number(row.input_tokens), Number(row.output_tokens)));
  });

  it("left by the client is read to its end all the same, and charged by the provider's usage", async () => {
    await fetch(`${stage.upstreamUrl}/requests`, { method: "DELETE" });
    const made = await openai.chat.completions.create(
      { ...ask("[upstream: pace=10, tokens=60]"), stream: true },
      { headers: { "idempotency-key": "stream-left" } },
    );
    let seen = 0;
    for await (const chunk of made) {
      if (chunk.choices[0]?.delta.content) seen += 1;
      if (seen === 4) break;
    }
    expect(await settledRequest(stage, "stream-left")).toMatchObject({ usage_source: "provider", output_tokens: "60" });
    const { requests } = (await (await fetch(`${stage.upstreamUrl}/requests`)).json()) as {
      requests: { aborted: boolean }[];
    };
    expect(requests.map(({ aborted }) => aborted)).toEqual([false]);
  });

  it("without usage is estimated from its text", async () => {
    const chunks = await stream("[upstream: no-usage] How much?", {}, "stream-estimated");
    expect(chunks.length).toBeGreaterThan(12);
    const row = await settledRequest(stage, "stream-estimated");
    expect(row.usage_source).toBe("estimated");
    expect(Number(row.output_tokens)).toBeGreaterThanOrEqual(12);
  });
});

describe("what a provider does wrong", () => {
  it("an error keeps its status and body, and costs nothing", async () => {
    const before = (await balanceOf(stage, stage.user1)).balance;
    for (const status of [400, 429, 500, 503]) {
      const body = ask(`[upstream: status=${status}]`);
      const direct = await post(`${stage.upstreamUrl}/v1/chat/completions`, "any", body);
      const through = await post(chatUrl(), stage.user1.api_key, body);
      expect(through.status).toBe(status);
      expect(await through.text()).toBe(await direct.text());
      expect(through.headers.get("retry-after")).toBe(direct.headers.get("retry-after"));
    }
    expect((await balanceOf(stage, stage.user1)).balance).toBe(before);
  });

  it("a plain answer without usage is estimated, one with usage of zero is free and on record", async () => {
    const { response } = await openai.chat.completions.create(ask("[upstream: no-usage] Hello")).withResponse();
    const row = await settled(stage, response.headers.get("x-drawdown-deduction-id") ?? "");
    expect(row.usage_source).toBe("estimated");
    expect(parseUnits(row.cost)).toBeGreaterThan(0n);
    const free = await openai.chat.completions.create(ask("[upstream: zero-usage] Hello")).withResponse();
    expect(await settled(stage, free.response.headers.get("x-drawdown-deduction-id") ?? "")).toMatchObject({
      cost: "0.000000000",
      usage_source: "provider",
    });
  });

  it("a slow answer is waited for", async () => {
    const answer = await openai.chat.completions.create(ask("[upstream: slow=700] Hello"));
    expect(answer.choices).toHaveLength(1);
  });
});

describe("a request id", () => {
  it("3: one that was answered is 409 and does not go to the provider again", async () => {
    const headers = { "idempotency-key": "chat-again" };
    const first = await post(chatUrl(), stage.user1.api_key, ask("Once"), headers);
    expect([first.status, first.headers.get("x-request-id")]).toEqual([200, "chat-again"]);
    const [received, balance] = [await receivedCount(stage), (await balanceOf(stage, stage.user1)).balance];
    for (const body of [ask("Once"), ask("Another"), { ...ask("Once"), stream: true }]) {
      const again = await post(chatUrl(), stage.user1.api_key, body, headers);
      expect([again.status, await again.json()]).toMatchObject([409, { error: { code: "idempotency_conflict" } }]);
      expect(again.headers.get("x-should-retry")).toBe("false");
      expect(again.headers.get("x-drawdown-deduction-id")).toBe(first.headers.get("x-drawdown-deduction-id"));
    }
    expect([await receivedCount(stage), (await balanceOf(stage, stage.user1)).balance]).toEqual([received, balance]);
  });

  it("3: twenty at once are one request to the provider and one charge", async () => {
    const received = await receivedCount(stage);
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        post(chatUrl(), stage.user1.api_key, { ...ask("[upstream: slow=300] At once"), request_id: "chat-at-once" }),
      ),
    );
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, ...Array(19).fill(409)]);
    expect(await receivedCount(stage)).toBe(received + 1);
  });

  it("3: a refused or failed request can be sent again under its id", async () => {
    const headers = { "idempotency-key": "chat-failed" };
    expect((await post(chatUrl(), stage.user1.api_key, ask("[upstream: status=500]"), headers)).status).toBe(500);
    expect((await post(chatUrl(), stage.user1.api_key, ask("Better"), headers)).status).toBe(200);
  });

  it("3: fifty charges with one id at once are one deduction and fifty equal answers; another body is 409", async () => {
    const url = `${stage.gatewayUrl}/v1/charges`;
    const body = {
      provider: "openai",
      model: "gpt-4o",
      usage: { prompt_tokens: 100, completion_tokens: 50 },
      request_id: "fifty",
    };
    const before = parseUnits((await balanceOf(stage, stage.user2)).balance);
    const answers = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const response = await post(url, stage.user2.api_key, body);
        return JSON.stringify([response.status, await response.json()]);
      }),
    );
    expect(new Set(answers).size).toBe(1);
    expect(JSON.parse(answers[0] ?? "")).toMatchObject([200, { cost: cost(100, 50), account_seq: expect.any(String) }]);
    expect((await balanceOf(stage, stage.user2)).balance).toBe(formatUnits(before - parseUnits(cost(100, 50))));
    const other = await post(url, stage.user2.api_key, { ...body, usage: { prompt_tokens: 1, completion_tokens: 1 } });
    expect([other.status, await other.json()]).toMatchObject([409, { error: { code: "idempotency_conflict" } }]);
    const row = await settledRequest(stage, "fifty");
    expect(row).toMatchObject({ usage_source: "reported", balance_before: formatUnits(before) });
    const { rows } = await stage.db.$client.query("SELECT FROM data.usage_log WHERE request_id = 'fifty'");
    expect(rows).toHaveLength(1);
  });

  it("3: the same id of another account is another request", async () => {
    const headers = { "idempotency-key": "shared-id" };
    expect((await post(chatUrl(), stage.user1.api_key, ask("Mine"), headers)).status).toBe(200);
    expect((await post(chatUrl(), stage.user2.api_key, ask("Mine"), headers)).status).toBe(200);
  });

  it("may be any text; what cannot stand in a header is percent-encoded there", async () => {
    const answer = await post(chatUrl(), stage.user1.api_key, { ...ask("Hello"), request_id: "Rechnung № 7" });
    expect([answer.status, answer.headers.get("x-request-id")]).toEqual([200, encodeURIComponent("Rechnung № 7")]);
    expect(await settledRequest(stage, "Rechnung № 7")).toMatchObject({ balance_check: "ok" });
  });
});

it("a key's user who has a tenant is billed to the tenant's account", async () => {
  const before = parseUnits((await balanceOf(stage, stage.tenant1)).balance);
  await clientOf(stage.tenant1).chat.completions.create(ask("What is a ledger?"));
  await clientOf(stage.tenant2).chat.completions.create(ask("What is a ledger?"));
  expect((await balanceOf(stage, stage.tenant1)).balance).toBe(formatUnits(before - 2n * parseUnits(cost(5, 12))));
});

describe("the price", () => {
  const putPrice = (columns: Record<string, string>) => {
    const names = Object.keys(columns);
    const places = names.map((_, index) => `$${index + 1}`);
    const sql = `INSERT INTO data.model_price (${names.join(", ")}) VALUES (${places.join(", ")})`;
    return stage.db.$client.query(sql, Object.values(columns));
  };
  const costOf = async (key: Key, model: string, content = "hello") => {
    const answer = await post(chatUrl(), key.api_key, { ...ask(content), model, max_tokens: 1 });
    return [
      answer.status,
      answer.headers.get("x-drawdown-cost"),
      answer.headers.get("x-drawdown-deduction-id"),
    ] as const;
  };

  it("of a customer type goes before the list price as soon as it is written, for that customer type alone", async () => {
    const { rows } = await stage.db.$client.query("SELECT id FROM data.customer_type WHERE name = 'partner'");
    const own = {
      input_price: "0.001",
      output_price: "0.001",
      price_model: "per_input_output",
      customer_type_id: rows[0].id,
    };
    await putPrice({ provider: "openai", model: "gpt-4o-mini", ...own });
    await expect
      .poll(async () => (await costOf(stage.tenant1, "gpt-4o-mini"))[1], { timeout: 15_000 })
      .toBe("0.003000000");
    expect((await costOf(stage.user1, "gpt-4o-mini"))[1]).toBe(formatUnits(2n * 150n + 600n));
  });

  it("by request needs no usage: none is on record, and none is guessed", async () => {
    await putPrice({ provider: "openai", model: "house-model", price_model: "per_request", request_price: "0.25" });
    await expect
      .poll(async () => (await costOf(stage.user1, "openai/house-model", "[upstream: no-usage]"))[0])
      .toBe(200);
    const [, charged, deductionId] = await costOf(stage.user1, "openai/house-model", "[upstream: no-usage]");
    expect(charged).toBe("0.250000000");
    expect(await settled(stage, deductionId ?? "")).toMatchObject({ usage_source: "none", cost: "0.250000000" });
  });

  it("of a key's user with another customer type than the account's owner is charged and flagged", async () => {
    await stage.db.$client.query(
      `UPDATE data.user_profile SET customer_type_id = (SELECT id FROM data.customer_type WHERE name = 'standard')
       WHERE id = (SELECT user_id FROM data.virtual_key WHERE virtual_key = $1)`,
      [stage.tenant2.virtual_key],
    );
    await expect
      .poll(async () => (await costOf(stage.tenant2, "gpt-4o-mini"))[1], { timeout: 15_000 })
      .toBe(formatUnits(2n * 150n + 600n));
    const [, , deductionId] = await costOf(stage.tenant2, "gpt-4o-mini");
    expect(await settled(stage, deductionId ?? "")).toMatchObject({
      metadata_json: { customer_type_mismatch: true },
    });
    const metrics = await (await fetch(`${stage.gatewayUrl}/metrics`)).text();
    expect(metrics).toMatch(/drawdown_customer_type_mismatch_total [1-9]/);
  });
});

it("a top-up by plain SQL can be spent within a second", async () => {
  const before = parseUnits((await balanceOf(stage, stage.user2)).balance);
  await stage.db.$client.query("UPDATE data.account_balance SET balance = balance + 100 WHERE id = $1", [
    stage.user2.account_balance_id,
  ]);
  const hundred = parseUnits("100");
  await expect
    .poll(async () => parseUnits((await balanceOf(stage, stage.user2)).balance), { timeout: 1_000 })
    .toBe(before + hundred);
});
