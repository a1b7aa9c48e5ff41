import { createHash } from "node:crypto";
import { once } from "node:events";
import Anthropic from "@anthropic-ai/sdk";
import type { FastifyInstance } from "fastify";
import OpenAI from "openai";
import { Registry } from "prom-client";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { upstreamServer } from "../src/upstream/server.ts";

let app: FastifyInstance;
let address: string;
let openai: OpenAI;
let anthropic: Anthropic;
const stopping = new AbortController();

beforeAll(async () => {
  app = upstreamServer({ checks: async () => ({}), registry: new Registry() }, stopping.signal);
  address = await app.listen({ port: 0, host: "127.0.0.1" });
  openai = new OpenAI({ apiKey: "provider-key", baseURL: `${address}/v1`, maxRetries: 0 });
  anthropic = new Anthropic({ apiKey: "provider-key", baseURL: address, maxRetries: 0 });
});
afterAll(async () => {
  stopping.abort();
  await app.close();
});
beforeEach(async () => {
  await fetch(`${address}/requests`, { method: "DELETE" });
});

const ask = (content: string) => ({ model: "gpt-4o", messages: [{ role: "user" as const, content }] });

describe("the simulated provider", () => {
  it("answers the same text and usage each time it is asked the same", async () => {
    const first = await openai.chat.completions.create(ask("What is a ledger?"));
    const second = await openai.chat.completions.create(ask("What is a ledger?"));
    expect(second).toEqual(first);
    // 17 characters are 5 tokens of 4 characters begun.
    expect(first.usage).toMatchObject({ prompt_tokens: 5, completion_tokens: 12, total_tokens: 17 });
    expect(first.choices[0]?.message.content?.split(" ")).toHaveLength(12);
    expect((await openai.chat.completions.create(ask("Another question?"))).choices[0]?.message.content).not.toBe(
      first.choices[0]?.message.content,
    );
  });

  it("keeps max_tokens and says length", async () => {
    const short = await openai.chat.completions.create({ ...ask("Hello"), max_tokens: 3 });
    expect(short.usage?.completion_tokens).toBe(3);
    expect(short.choices[0]?.finish_reason).toBe("length");
  });

  it("reports cached tokens from 1,024 tokens on, and reasoning tokens for models that reason", async () => {
    const long = await openai.chat.completions.create({ ...ask("a".repeat(4 * 1_300)), model: "o3-mini" });
    expect(long.usage).toMatchObject({
      prompt_tokens: 1_300,
      completion_tokens: 24,
      prompt_tokens_details: { cached_tokens: 1_280 },
      completion_tokens_details: { reasoning_tokens: 12 },
    });
  });

  it("streams the text of the plain answer, with the usage chunk only when it was asked for", async () => {
    const whole = await openai.chat.completions.create(ask("Stream this"));
    for (const include_usage of [true, false]) {
      const stream = await openai.chat.completions.create({
        ...ask("Stream this"),
        stream: true,
        stream_options: { include_usage },
      });
      let text = "";
      let usage: unknown;
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? "";
        usage = chunk.usage ?? usage;
      }
      expect(text).toBe(whole.choices[0]?.message.content);
      expect(usage).toEqual(include_usage ? whole.usage : undefined);
    }
  });

  it("speaks the responses API, plain and streaming", async () => {
    const plain = await openai.responses.create({ model: "gpt-4o", input: "Hello there" });
    expect(plain.output_text.split(" ")).toHaveLength(12);
    expect(plain.usage).toMatchObject({ input_tokens: 3, output_tokens: 12, total_tokens: 15 });
    let text = "";
    for await (const event of await openai.responses.create({ model: "gpt-4o", input: "Hello there", stream: true })) {
      if (event.type === "response.output_text.delta") text += event.delta;
      if (event.type === "response.completed") expect(event.response.usage).toEqual(plain.usage);
    }
    expect(text).toBe(plain.output_text);
  });

  it("speaks the embeddings API in numbers and in base64, which the official client asks for", async () => {
    const made = await openai.embeddings.create({ model: "text-embedding-3-small", input: ["one", "two words"] });
    const plain = await openai.embeddings.create({
      model: "text-embedding-3-small",
      input: ["one", "two words"],
      encoding_format: "float",
    });
    expect(made.usage).toEqual({ prompt_tokens: 4, total_tokens: 4 });
    expect(made.data[1]?.embedding.map((value) => value.toFixed(5))).toEqual(
      plain.data[1]?.embedding.map((value) => value.toFixed(5)),
    );
  });

  it("speaks Anthropic's messages API, plain and streaming, with cache read and write beside input_tokens", async () => {
    const asked = {
      model: "claude-sonnet-4-6",
      max_tokens: 100,
      messages: [{ role: "user" as const, content: "[upstream: cached=4, cache-write=2] Hello there" }],
    };
    const plain = await anthropic.messages.create(asked);
    expect(plain.usage).toMatchObject({
      input_tokens: 6,
      cache_read_input_tokens: 4,
      cache_creation_input_tokens: 2,
      output_tokens: 12,
    });
    const streamed = await anthropic.messages.stream(asked).finalMessage();
    expect(streamed.content).toMatchObject(plain.content);
    expect(streamed.usage).toMatchObject({ input_tokens: 6, cache_read_input_tokens: 4, output_tokens: 12 });
  });

  it("answers with the error status asked for, in the shape of the API", async () => {
    await expect(openai.chat.completions.create(ask("[upstream: status=500]"))).rejects.toThrow(/500/);
    await expect(openai.chat.completions.create(ask("[upstream: status=429]"))).rejects.toMatchObject({
      status: 429,
      code: "rate_limit_exceeded",
    });
    await expect(anthropic.messages.create({ ...ask("[upstream: status=429]"), max_tokens: 5 })).rejects.toMatchObject({
      status: 429,
      error: { type: "error" },
    });
  });

  it("cuts a stream after the chunks asked for, and a plain answer in its middle", async () => {
    const stream = await openai.chat.completions.create({ ...ask("[upstream: cut=3]"), stream: true });
    let texts = 0;
    await expect(async () => {
      for await (const chunk of stream) if (chunk.choices[0]?.delta.content) texts += 1;
    }).rejects.toThrow();
    expect(texts).toBe(3);
    await expect(openai.chat.completions.create(ask("[upstream: cut=1]"))).rejects.toThrow();
  });

  it("leaves usage out, or all zero", async () => {
    expect((await openai.chat.completions.create(ask("[upstream: no-usage]"))).usage).toBeUndefined();
    expect((await openai.chat.completions.create(ask("[upstream: zero-usage]"))).usage).toMatchObject({
      prompt_tokens: 0,
      completion_tokens: 0,
    });
  });

  it("takes the wish from a header too, waits, and hangs until the caller leaves", async () => {
    const before = performance.now();
    await openai.chat.completions.create(ask("Hello"), { headers: { "x-upstream-behaviour": "slow=120" } });
    expect(performance.now() - before).toBeGreaterThan(100);
    await expect(openai.chat.completions.create(ask("[upstream: hang]"), { timeout: 100 })).rejects.toThrow(
      /timed out/i,
    );
  });

  it("remembers what it received, with the caller's headers and a hash of his key", async () => {
    await openai.chat.completions.create(ask("Hello"));
    await expect(openai.chat.completions.create(ask("[upstream: status=500]"))).rejects.toThrow();
    const seen = (await (await fetch(`${address}/requests`)).json()) as {
      count: number;
      requests: { path: string; headers: Record<string, string>; model: string }[];
    };
    expect(seen.count).toBe(2);
    expect(seen.requests[0]).toMatchObject({
      path: "/v1/chat/completions",
      model: "gpt-4o",
      headers: { authorization: `sha256:${createHash("sha256").update("Bearer provider-key").digest("hex")}` },
    });
  });

  it("lets go of what hangs when it stops", async () => {
    const stop = new AbortController();
    const own = upstreamServer({ checks: async () => ({}), registry: new Registry() }, stop.signal);
    const ownAddress = await own.listen({ port: 0, host: "127.0.0.1" });
    const arrived = once(own.server, "request");
    const hanging = fetch(`${ownAddress}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(ask("[upstream: hang]")),
    });
    await arrived;
    stop.abort();
    await own.close();
    await expect(hanging).rejects.toThrow();
  });
});
