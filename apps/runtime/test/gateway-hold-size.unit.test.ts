import { describe, expect, it } from "vitest";
import { countText } from "../src/gateway/count.ts";
import { HoldSizes } from "../src/gateway/hold-size.ts";
import { chat } from "../src/gateway/surfaces/chat.ts";
import { embeddings } from "../src/gateway/surfaces/embeddings.ts";
import { messages } from "../src/gateway/surfaces/messages.ts";
import type { Surface } from "../src/gateway/surfaces/surface.ts";
import { pricedCall } from "./priced-call.ts";

const ask = (content: string, more: object = {}) => ({ messages: [{ role: "user", content }], ...more });
const output = (nanos: bigint) => Number(nanos / 1_000_000n);
const input = (nanos: bigint) => Number(nanos % 1_000_000n);

async function wanted(surface: Surface, provider: string, fields: { model: string; [field: string]: unknown }) {
  return (await new HoldSizes().size(pricedCall(surface, provider, fields))).wantedNanos;
}

describe("a hold is as large as the call can be", () => {
  it("the output: the request's limit, else the model's own, else 4,096 tokens, for each answer", async () => {
    expect(output(await wanted(chat, "openai", { model: "gpt-4o", ...ask("hi", { max_tokens: 100 }) }))).toBe(100);
    expect(output(await wanted(chat, "openai", { model: "gpt-4o", ...ask("hi", { max_tokens: 1e9 }) }))).toBe(16_384);
    expect(output(await wanted(chat, "openai", { model: "gpt-4o", ...ask("hi") }))).toBe(16_384);
    expect(output(await wanted(chat, "openai", { model: "gpt-4o", ...ask("hi", { max_tokens: 100, n: 3 }) }))).toBe(
      300,
    );
    expect(output(await wanted(chat, "mistral", { model: "mistral-large-latest", ...ask("hi") }))).toBe(4_096);
    expect(output(await wanted(embeddings, "openai", { model: "text-embedding-3-small", input: "hi" }))).toBe(0);
  });

  it("the prompt: by the tokenizer where it is the model's, else a token per byte", async () => {
    const text = "every balance tells a story. ".repeat(20);
    const tokens = await countText(text, 1);
    expect(tokens).toBeLessThan(text.length / 4);
    const counted = await wanted(chat, "openai", { model: "gpt-4o", ...ask(text, { max_tokens: 1 }) });
    expect(Number(counted)).toBeGreaterThan(tokens);
    const bytes = await wanted(messages, "anthropic", { model: "claude-sonnet-4-6", ...ask(text, { max_tokens: 1 }) });
    expect(Number(bytes - counted)).toBeGreaterThan(text.length - tokens - 50);
  });

  it("the least: the prompt and a short answer, never more than is wanted", async () => {
    const size = await new HoldSizes().size(pricedCall(chat, "openai", { model: "gpt-4o", ...ask("hi") }));
    expect(output(size.leastNanos)).toBe(512);
    const short = await new HoldSizes().size(
      pricedCall(chat, "openai", { model: "gpt-4o", ...ask("hi", { max_tokens: 9 }) }),
    );
    expect(short.leastNanos).toBe(short.wantedNanos);
    expect(input(size.leastNanos)).toBe(input(size.wantedNanos));
  });
});

describe("2: a short prompt of an account that has plenty is held from above", () => {
  const call = (content: string, provider = "openai") =>
    pricedCall(chat, provider, { model: "gpt-4o", ...ask(content, { max_tokens: 100 }) });
  const rich = () => {
    const sizes = new HoldSizes();
    sizes.saw("a", 10n ** 15n);
    return sizes;
  };

  it("never for less than its tokens, and for at most as many more as it has bytes", async () => {
    for (const text of ["hi", "every balance tells a story. ".repeat(20), "测试🙂".repeat(60), "=)(".repeat(200)]) {
      const { wantedNanos } = await rich().size(call(text));
      const fromAbove = rich().fromAbove(call(text)) ?? 0n;
      expect(fromAbove).toBeGreaterThanOrEqual(wantedNanos);
      expect(fromAbove - wantedNanos).toBeLessThan(1_000n);
    }
  });

  it("and counted where that could be missed: by who has less than a thousand times it, is unknown, or has a limit", () => {
    const most = rich().fromAbove(call("hi")) ?? 0n;
    const having = (available: bigint) => {
      const sizes = new HoldSizes();
      sizes.saw("a", available);
      return sizes.fromAbove(call("hi"));
    };
    expect([having(1_000n * most), having(1_000n * most - 1n)]).toEqual([most, undefined]);
    expect(new HoldSizes().fromAbove(call("hi"))).toBeUndefined();
    const limited = call("hi");
    const spendLimit = { period: "day", limitNanos: 1n } as const;
    const caller = { ...limited.caller, limits: { ...limited.caller.limits, spendLimit } };
    expect(rich().fromAbove({ ...limited, caller })).toBeUndefined();
  });

  it("and counted when it is longer; without a tokenizer every prompt is a token per byte", () => {
    expect(rich().fromAbove(call("a".repeat(1_000)))).toBeUndefined();
    expect(rich().fromAbove(call("hi", "mistral"))).toBeUndefined();
  });
});

describe("what a key's calls of a model came to caps the next ones", () => {
  it("from the sixteenth on, with half as much again, never below the floor, for that key and model alone", () => {
    const sizes = new HoldSizes();
    for (let n = 1; n < 16; n += 1) sizes.learn("vk", "gpt-4o", 1_000);
    expect(sizes.expected("vk", "gpt-4o")).toBeUndefined();
    sizes.learn("vk", "gpt-4o", 1_000);
    expect(sizes.expected("vk", "gpt-4o")).toBe(1_500);
    expect(sizes.expected("other", "gpt-4o")).toBeUndefined();
    expect(sizes.expected("vk", "o3")).toBeUndefined();
    for (let n = 0; n < 64; n += 1) sizes.learn("vk", "gpt-4o", 1);
    expect(sizes.expected("vk", "gpt-4o")).toBe(512);
  });

  it("one long answer in a hundred does not, six do", () => {
    const sizes = new HoldSizes();
    for (let n = 0; n < 64; n += 1) sizes.learn("vk", "m", n === 7 ? 100_000 : 1_000);
    expect(sizes.expected("vk", "m")).toBe(1_500);
    for (let n = 0; n < 64; n += 1) sizes.learn("vk", "m", n % 10 === 0 ? 100_000 : 1_000);
    expect(sizes.expected("vk", "m")).toBe(150_000);
  });

  it("never above what the request allows", async () => {
    const sizes = new HoldSizes();
    for (let n = 0; n < 64; n += 1) sizes.learn("vk", "gpt-4o", 5_000);
    const of = async (max_tokens: number) =>
      output(
        (await sizes.size(pricedCall(chat, "openai", { model: "gpt-4o", ...ask("hi", { max_tokens }) }))).wantedNanos,
      );
    expect([await of(100), await of(16_000)]).toEqual([100, 7_500]);
  });
});

describe("counting text", () => {
  it("never stops the others for long, whatever the text", async () => {
    for (const text of ["a".repeat(70_000), "测试".repeat(35_000), "=".repeat(70_000), " ".repeat(70_000)]) {
      let turns = 0;
      const counting = countText(text, 1);
      const timer = setInterval(() => (turns += 1), 0);
      const startedAt = performance.now();
      expect(await counting).toBeLessThanOrEqual(Buffer.byteLength(text));
      clearInterval(timer);
      expect(performance.now() - startedAt).toBeLessThan(5_000);
      expect(turns).toBeGreaterThanOrEqual(1);
    }
  });

  it("beyond a million characters is by bytes, and special words are text", async () => {
    expect(await countText(" ".repeat(1024 * 1024) + "x".repeat(100), 1)).toBe(
      (await countText(" ".repeat(1024 * 1024), 1)) + 100,
    );
    expect(await countText("<|endoftext|>", 1)).toBeGreaterThan(1);
  });
});
