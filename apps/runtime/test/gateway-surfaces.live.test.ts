import { createHash } from "node:crypto";
import Anthropic from "@anthropic-ai/sdk";
import { formatUnits } from "@drawdown/billing";
import { waitFor } from "@drawdown/local-stack";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { balanceOf, openStage, post, providerKey, type Stage, settledRequest } from "./stage.ts";

const anthropicKey = "sk-ant-provider-key-that-must-not-leak-0123456789";
let stage: Stage;
let openai: OpenAI;
let anthropic: Anthropic;
beforeAll(async () => {
  stage = await openStage({ ANTHROPIC_API_KEY: anthropicKey, DRAIN_SECONDS: "1" });
  const apiKey = stage.user1.api_key;
  openai = new OpenAI({ apiKey, baseURL: `${stage.gatewayUrl}/v1`, maxRetries: 0 });
  anthropic = new Anthropic({ apiKey, baseURL: stage.gatewayUrl, maxRetries: 0 });
});
afterAll(() => stage?.stop());
beforeEach(async () => {
  await fetch(`${stage.upstreamUrl}/requests`, { method: "DELETE" });
});

type Received = { path: string; headers: Record<string, string>; bodySha256: string; aborted: boolean };
const received = async () =>
  ((await (await fetch(`${stage.upstreamUrl}/requests`)).json()) as { requests: Received[] }).requests;
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
const named = (id: string) => ({ headers: { "idempotency-key": id } });

/** The models' prices for a million tokens: gpt-4o 2.50 and 10, claude-sonnet-4-6 3 and 15 (cache 0.30 read, 3.75 written). */
const openaiCost = (input: number, output: number) => formatUnits(BigInt(input) * 2_500n + BigInt(output) * 10_000n);
const claude = { model: "claude-sonnet-4-6", max_tokens: 300 };
const parameters = { type: "object", properties: { text: { type: "string" } } };

/** One request of each surface that answers in words, as its official client sends it, plain and streamed. */
const words = {
  chat: {
    path: "/v1/chat/completions",
    body: (content: string) => ({ model: "gpt-4o", messages: [{ role: "user", content }] }),
    plain: async (content: string, id: string) => {
      const answer = await openai.chat.completions.create(
        { model: "gpt-4o", messages: [{ role: "user", content }] },
        named(id),
      );
      return answer.choices[0]?.message.content ?? "";
    },
    stream: async (content: string, id: string, signal?: AbortSignal) => {
      const made = await openai.chat.completions.create(
        { model: "gpt-4o", messages: [{ role: "user", content }], stream: true },
        { ...named(id), signal },
      );
      let text = "";
      for await (const chunk of made) text += chunk.choices[0]?.delta.content ?? "";
      return text;
    },
  },
  responses: {
    path: "/v1/responses",
    body: (input: string) => ({ model: "gpt-4o", input }),
    plain: async (input: string, id: string) =>
      (await openai.responses.create({ model: "gpt-4o", input }, named(id))).output_text,
    stream: async (input: string, id: string, signal?: AbortSignal) => {
      const made = await openai.responses.create({ model: "gpt-4o", input, stream: true }, { ...named(id), signal });
      let text = "";
      for await (const event of made) if (event.type === "response.output_text.delta") text += event.delta;
      return text;
    },
  },
  messages: {
    path: "/v1/messages",
    body: (content: string) => ({ ...claude, messages: [{ role: "user", content }] }),
    plain: async (content: string, id: string) => {
      const answer = await anthropic.messages.create({ ...claude, messages: [{ role: "user", content }] }, named(id));
      return answer.content[0]?.type === "text" ? answer.content[0].text : "";
    },
    stream: async (content: string, id: string, signal?: AbortSignal) => {
      const made = anthropic.messages.stream(
        { ...claude, messages: [{ role: "user", content }] },
        { ...named(id), signal },
      );
      return await made.finalText();
    },
  },
};
type Name = keyof typeof words;
const names = Object.keys(words) as Name[];

/** Nothing is set aside for anything any more. */
async function expectNothingHeld(): Promise<void> {
  await expect.poll(async () => (await balanceOf(stage, stage.user1)).held, { timeout: 10_000 }).toBe("0.000000000");
}

async function expectNoRow(requestId: string): Promise<void> {
  await expectNothingHeld();
  const sql = "SELECT FROM data.usage_log WHERE request_id = $1";
  expect((await stage.db.$client.query(sql, [requestId])).rows).toEqual([]);
}

describe.each(names)("%s through the official client", (name) => {
  const surface = words[name];

  it("plain and streamed is the provider's text, charged by the provider's usage", async () => {
    const direct = await (await post(`${stage.upstreamUrl}${surface.path}`, "any", surface.body("A ledger?"))).text();
    const text = await surface.plain("A ledger?", `${name}-plain`);
    expect(text.split(" ")).toHaveLength(12);
    expect(direct).toContain(text);
    expect(await surface.stream("A ledger?", `${name}-stream`)).toBe(text);
    for (const id of [`${name}-plain`, `${name}-stream`]) {
      const row = await settledRequest(stage, id);
      expect(row).toMatchObject({ usage_source: "provider", input_tokens: "3", output_tokens: "12" });
      expect(row.cost).toBe(name === "messages" ? formatUnits(3n * 3_000n + 12n * 15_000n) : openaiCost(3, 12));
    }
    await expectNothingHeld();
  });

  it("has its end mark also when the provider does not close the stream", async () => {
    const sentAtMs = performance.now();
    expect(await surface.stream("[upstream: linger] Hello", `${name}-linger`)).not.toBe("");
    expect(performance.now() - sentAtMs).toBeLessThan(10_000);
    expect(await settledRequest(stage, `${name}-linger`)).toMatchObject({ usage_source: "provider" });
  });

  it("streamed is byte for byte what the provider sent", async () => {
    const body = { ...surface.body("Same bytes"), stream: true, stream_options: { include_usage: true } };
    const direct = await (await post(`${stage.upstreamUrl}${surface.path}`, "any", body)).text();
    const through = await post(`${stage.gatewayUrl}${surface.path}`, stage.user1.api_key, body);
    expect(through.headers.get("x-drawdown-deduction-id")).toMatch(/^ded_/);
    expect(await through.text()).toBe(direct);
  });

  it("passes fields that nobody here knows of", async () => {
    const own = {
      future_field: { deep: [1, null, "é"], most: "MOST" },
      ...surface.body("Hello"),
      metadata: { user: "7" },
    };
    const body = JSON.stringify(own).replace('"MOST"', "9223372036854775807");
    expect((await post(`${stage.gatewayUrl}${surface.path}`, stage.user1.api_key, body)).status).toBe(200);
    expect((await received()).map(({ bodySha256 }) => bodySha256)).toEqual([sha256(body)]);
  });

  it("an error keeps its status and body, and costs nothing", async () => {
    for (const status of [400, 429, 500, 529]) {
      const body = surface.body(`[upstream: status=${status}]`);
      const direct = await post(`${stage.upstreamUrl}${surface.path}`, "any", body);
      const headers = { "idempotency-key": `${name}-${status}` };
      const through = await post(`${stage.gatewayUrl}${surface.path}`, stage.user1.api_key, body, headers);
      expect([through.status, await through.text()]).toEqual([status, await direct.text()]);
      expect(through.headers.get("retry-after")).toBe(direct.headers.get("retry-after"));
      await expectNoRow(`${name}-${status}`);
    }
    await expect(surface.stream("[upstream: status=429]", `${name}-429`)).rejects.toMatchObject({ status: 429 });
  });

  it("an error with status 200 is passed as it is, and costs nothing", async () => {
    const headers = { "idempotency-key": `${name}-quiet` };
    const body = surface.body("[upstream: quiet-error]");
    const answer = await post(`${stage.gatewayUrl}${surface.path}`, stage.user1.api_key, body, headers);
    expect([answer.status, await answer.json()]).toMatchObject([200, { error: { message: expect.any(String) } }]);
    await expectNoRow(`${name}-quiet`);
  });

  it("cut by the provider is charged as far as it came, and the client is told", async () => {
    await expect(surface.stream("[upstream: cut=4] five", `${name}-cut`)).rejects.toThrow(/broke off/);
    const row = await settledRequest(stage, `${name}-cut`);
    expect(row.usage_source).toBe("partial");
    expect(Number(row.output_tokens)).toBeGreaterThanOrEqual(4);
    expect(Number(row.output_tokens)).toBeLessThan(12);
    expect(Number(row.input_tokens)).toBeGreaterThan(0);
  });

  it("failing in the middle of a stream, in the provider's own words, is charged as far as it came", async () => {
    await expect(surface.stream("[upstream: fail=4] five", `${name}-fail`)).rejects.toThrow(/529/);
    expect(await settledRequest(stage, `${name}-fail`)).toMatchObject({ usage_source: "partial" });
  });

  it("broken off before the first word costs nothing, and its id may come again", async () => {
    await expect(surface.stream("[upstream: cut=0] none", `${name}-none`)).rejects.toThrow();
    await expectNoRow(`${name}-none`);
    expect(await surface.stream("now", `${name}-none`)).not.toBe("");
    expect(await settledRequest(stage, `${name}-none`)).toMatchObject({ usage_source: "provider" });
  });

  it("without usage is estimated from its text; with usage of zero it is free and on record", async () => {
    for (const how of ["plain", "stream"] as const) {
      // Not through the clients: Anthropic's cannot do without usage.
      const body = { ...surface.body("[upstream: no-usage] How much?"), stream: how === "stream" };
      const headers = { "idempotency-key": `${name}-${how}-estimated` };
      await (await post(`${stage.gatewayUrl}${surface.path}`, stage.user1.api_key, body, headers)).text();
      const row = await settledRequest(stage, `${name}-${how}-estimated`);
      expect([row.usage_source, Number(row.output_tokens) >= 12, Number(row.output_tokens) < 40]).toEqual([
        "estimated",
        true,
        true,
      ]);
      await surface[how]("[upstream: zero-usage] Free", `${name}-${how}-free`);
      expect(await settledRequest(stage, `${name}-${how}-free`)).toMatchObject({
        usage_source: "provider",
        cost: "0.000000000",
      });
    }
  });

  it("left by its client is read to the end, and given up when the provider says nothing more", async () => {
    for (const [prompt, id, source] of [
      ["[upstream: pace=20, tokens=20] left", `${name}-left`, "provider"],
      ["[upstream: stall=5, tokens=20] left", `${name}-stalled`, "partial"],
    ] as const) {
      const leave = new AbortController();
      setTimeout(() => leave.abort(), 150);
      await surface.stream(prompt, id, leave.signal).catch(() => undefined);
      const row = await settledRequest(stage, id);
      expect(row).toMatchObject({ usage_source: source });
      if (source === "provider") expect(row.output_tokens).toBe("20");
      else expect(Number(row.output_tokens)).toBeLessThan(20);
    }
    expect((await received()).map(({ aborted }) => aborted)).toEqual([false, true]);
    await expectNothingHeld();
  });

  it("left by its client before the first byte of an answer that never comes costs nothing", async () => {
    const leave = new AbortController();
    setTimeout(() => leave.abort(), 100);
    await surface.stream("[upstream: hang]", `${name}-hang`, leave.signal).catch(() => undefined);
    await waitFor(async () => (await received())[0]?.aborted === true, { timeoutMs: 10_000, what: "the call to end" });
    await expectNoRow(`${name}-hang`);
  });

  it("goes to the provider with the provider's key and without the client's", async () => {
    const headers = { cookie: "session=client", "x-forwarded-for": "203.0.113.9", "anthropic-beta": "context-1m" };
    const answer = await post(`${stage.gatewayUrl}${surface.path}`, stage.user1.api_key, surface.body("Key?"), headers);
    const seen = (await received())[0]?.headers ?? {};
    const secret = stage.user1.api_key.split(".")[1] ?? "";
    expect(JSON.stringify(seen)).not.toMatch(/session|203\.0/);
    expect(JSON.stringify(seen)).not.toContain(secret);
    expect(seen["anthropic-beta"]).toBe("context-1m");
    const [key, bearer] = [seen["x-api-key"], seen["authorization"]];
    if (name === "messages") {
      expect([key, bearer]).toEqual([`sha256:${sha256(anthropicKey)}`, undefined]);
      expect(seen["anthropic-version"]).toBe("2023-06-01");
    } else expect([key, bearer]).toEqual([undefined, `sha256:${sha256(`Bearer ${providerKey}`)}`]);
    const shown = JSON.stringify([...answer.headers]) + (await answer.text());
    for (const hidden of [providerKey, anthropicKey]) expect(shown).not.toContain(hidden);
  });

  it("3: an id that was answered is 409 and does not go to the provider again", async () => {
    const headers = { "idempotency-key": `${name}-again` };
    const ask = () => post(`${stage.gatewayUrl}${surface.path}`, stage.user1.api_key, surface.body("Once"), headers);
    expect((await ask()).status).toBe(200);
    const again = await ask();
    const shape = { error: { code: "idempotency_conflict" }, ...(name === "messages" ? { type: "error" } : {}) };
    expect([again.status, await again.json()]).toMatchObject([409, shape]);
    expect(await received()).toHaveLength(1);
  });
});

describe("what a client asks for", () => {
  const tool = { name: "say", description: "Says it.", parameters };

  it("tools: a call comes through whole, plain and streamed, on each surface", async () => {
    const content = "[upstream: tool, tokens=4] say";
    const messages = [{ role: "user" as const, content }];
    const chatBody = { model: "gpt-4o", messages, tools: [{ type: "function" as const, function: tool }] };
    const plain = await openai.chat.completions.create(chatBody);
    const call = plain.choices[0]?.message.tool_calls?.[0];
    const said = call?.type === "function" ? call.function.arguments : "";
    expect(JSON.parse(said)).toEqual({ text: expect.stringMatching(/^\w+( \w+){3}$/) });
    const streamed = await openai.chat.completions.stream(chatBody, named("tool-chat")).finalChatCompletion();
    expect(streamed.choices[0]?.message.tool_calls?.[0]).toMatchObject({ function: { name: "say", arguments: said } });
    const responsesBody = {
      model: "gpt-4o",
      input: content,
      tools: [{ type: "function" as const, strict: false, ...tool }],
    };
    const response = await openai.responses.stream(responsesBody, named("tool-responses")).finalResponse();
    expect(response.output[0]).toMatchObject({ type: "function_call", name: "say", arguments: said });
    const input_schema = { type: "object" as const };
    const messagesBody = { ...claude, messages, tools: [{ name: "say", input_schema }] };
    const message = await anthropic.messages.stream(messagesBody, named("tool-messages")).finalMessage();
    expect(message).toMatchObject({
      stop_reason: "tool_use",
      content: [{ type: "tool_use", name: "say", input: JSON.parse((await toolText(messagesBody)) ?? "") }],
    });
    for (const id of ["tool-chat", "tool-responses", "tool-messages"])
      expect(await settledRequest(stage, id)).toMatchObject({ usage_source: "provider", output_tokens: "4" });
  });

  const toolText = async (body: Anthropic.MessageCreateParamsNonStreaming) => {
    const [block] = (await anthropic.messages.create(body)).content;
    return block?.type === "tool_use" ? JSON.stringify(block.input) : undefined;
  };

  it("a call of a tool that broke off is counted by its arguments", async () => {
    const body = {
      model: "gpt-4o",
      messages: [{ role: "user" as const, content: "[upstream: tool, cut=6, tokens=40] say" }],
      tools: [{ type: "function" as const, function: tool }],
      stream: true as const,
    };
    const broken = openai.chat.completions.create(body, named("tool-cut"));
    await expect(async () => {
      for await (const _ of await broken);
    }).rejects.toThrow(/broke off/);
    const row = await settledRequest(stage, "tool-cut");
    expect(row.usage_source).toBe("partial");
    expect(Number(row.output_tokens)).toBeGreaterThanOrEqual(5);
  });

  it("three answers at once are charged together, streamed and plain, and whole only when all are", async () => {
    const body = { model: "gpt-4o", messages: [{ role: "user" as const, content: "Three" }], n: 3 };
    expect((await openai.chat.completions.create(body, named("three-plain"))).choices).toHaveLength(3);
    for await (const _ of await openai.chat.completions.create({ ...body, stream: true }, named("three-stream")));
    for (const id of ["three-plain", "three-stream"])
      expect(await settledRequest(stage, id)).toMatchObject({ usage_source: "provider", output_tokens: "36" });
  });

  it("pictures in prompts pass, and are held for", async () => {
    const picture = `data:image/png;base64,${"A".repeat(40_000)}`;
    const content = [
      { type: "text" as const, text: "[upstream: slow=400] What is it?" },
      { type: "image_url" as const, image_url: { url: picture } },
    ];
    const asking = openai.chat.completions.create(
      { model: "gpt-4o", messages: [{ role: "user", content }], max_tokens: 1 },
      named("picture"),
    );
    let held = 0;
    await waitFor(
      async () => {
        held = Number((await balanceOf(stage, stage.user1)).held);
        return held > 0;
      },
      { timeoutMs: 10_000, what: "the hold" },
    );
    // 6,000 tokens for a picture, not 40,000 for its letters.
    expect([held > 6_000 * 2.5e-6, held < 12_000 * 2.5e-6]).toEqual([true, true]);
    await asking;
    await settledRequest(stage, "picture");
  });

  it("reasoning and cached tokens are charged as the provider counted them", async () => {
    const reasoning = { model: "o3-mini", input: "[upstream: cached=8, tokens=3] think" };
    await openai.responses.create(reasoning, named("reasoning"));
    // 9 tokens in, 8 of them cached at 0.55; 3 words and as much thought at 4.40.
    expect(await settledRequest(stage, "reasoning")).toMatchObject({
      input_tokens: "9",
      output_tokens: "6",
      cost: formatUnits(1n * 1_100n + 8n * 550n + 6n * 4_400n),
    });
    const cached = {
      ...claude,
      messages: [{ role: "user" as const, content: "[upstream: cached=4, cache-write=2] hi" }],
    };
    await anthropic.messages.create(cached, named("cached-plain"));
    await anthropic.messages.stream(cached, named("cached-stream")).finalMessage();
    for (const id of ["cached-plain", "cached-stream"])
      expect(await settledRequest(stage, id)).toMatchObject({
        input_tokens: "10",
        cost: formatUnits(4n * 3_000n + 4n * 300n + 2n * 3_750n + 12n * 15_000n),
      });
  });

  it("embeddings, of text and of tokens, are charged for their input alone", async () => {
    const made = await openai.embeddings.create(
      { model: "text-embedding-3-small", input: ["one", "two words"] },
      named("embed"),
    );
    expect(made.data).toHaveLength(2);
    // 0.02 for a million.
    expect(await settledRequest(stage, "embed")).toMatchObject({
      usage_source: "provider",
      input_tokens: "4",
      output_tokens: "0",
      cost: formatUnits(4n * 20n),
    });
    const unsaid = { model: "text-embedding-3-small", input: "[upstream: no-usage] eight tokens of text or so" };
    await openai.embeddings.create(unsaid, named("embed-unsaid"));
    expect(await settledRequest(stage, "embed-unsaid")).toMatchObject({
      usage_source: "estimated",
      output_tokens: "0",
    });
    await expect(openai.embeddings.create({ ...unsaid, input: "[upstream: status=500]" })).rejects.toThrow(/500/);
    await expectNothingHeld();
  });
});
