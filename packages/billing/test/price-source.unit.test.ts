// Every cost must be the one that the price source itself computes, within the error of its float arithmetic.
import { readFileSync } from "node:fs";
import {
  calcPrice,
  extractUsage,
  findProvider,
  type Provider,
  type Usage as SourceUsage,
  waitForUpdate,
} from "@pydantic/genai-prices";
import { beforeAll, describe, expect, it } from "vitest";
import { costOf, type PriceList, readUsage, resolvePrice, type Usage } from "../src/index.ts";
import { makersOf, pricedAsMaker } from "../src/model-names.ts";
import { priceSource, readPriceSource } from "../src/price-source.ts";
import { listOf } from "./price-rows.ts";

let providers: Provider[];
let list: PriceList;
beforeAll(async () => {
  providers = (await waitForUpdate()) ?? [];
  list = await listOf();
});

/** Endless fractions at their source: rounded to the column's 12 decimals, off by up to half a pico a token. */
const inexactCacheWrites = new Set([
  "openrouter google/gemini-2.5-flash-image",
  "openrouter google/gemini-2.5-flash-lite",
  "openrouter google/gemini-3-flash-preview",
  "openrouter google/gemini-3.1-flash-lite",
  "openrouter google/gemini-3.5-flash",
  "openrouter ~google/gemini-flash-latest",
]);

/** Half a nano of ours, and 15 digits of theirs. */
function expectSameCost(costNanos: bigint, theirs: number, what: string, inexactTokens = 0): void {
  const tolerance = 0.5e-9 + theirs * 1e-14 + inexactTokens * 0.5e-12;
  const difference = Math.abs(Number(costNanos) / 1e9 - theirs);
  expect(difference, `${what}: ours ${costNanos} nanos, theirs ${theirs}`).toBeLessThanOrEqual(tolerance);
}

function ourCost(provider: string, model: string, usage: Usage, at: Date): bigint {
  const found = resolvePrice(list, { provider, model, customerTypeId: null, currency: "USD", at });
  if (!found) throw new Error(`${provider}/${model} has no price`);
  return costOf(found.price, usage).costNanos;
}

describe("the import says where its prices are from", () => {
  it("by the version that is installed", () => {
    const file = new URL("../../../node_modules/@pydantic/genai-prices/package.json", import.meta.url);
    const { version } = JSON.parse(readFileSync(file, "utf8")) as { version: string };
    // A newer package: take the day of its publication from the registry, too.
    expect(priceSource.name).toBe(`genai-prices ${version}`);
    expect(priceSource.date).toMatch(/^\d{4}-\d\d-\d\d$/);
  });
});

describe("every model of the source is priced as there", () => {
  it("at least 150 models, of all the makers", () => {
    const { models } = readPriceSource(providers);
    expect(models.length).toBeGreaterThan(1_600);
    for (const maker of ["openai", "anthropic", "google", "mistral", "deepseek"])
      expect(models.filter(({ provider }) => provider === maker).length, maker).toBeGreaterThan(5);
  });

  it("what is left out is not countable, or empty and not said to be free", () => {
    const { skipped } = readPriceSource(providers);
    expect(skipped.length).toBeLessThan(40);
    for (const { provider, model, reason } of skipped) {
      expect(reason, `${provider}/${model}`).toMatch(
        /not counted here$|^its price is empty and it is not said to be free$/,
      );
      expect(
        resolvePrice(list, { provider, model, customerTypeId: null, currency: "USD", at: new Date() }),
      ).toBeUndefined();
    }
  });

  it("an empty price is free only where the source says so, and a price by the hour is none", () => {
    const priceAt = (provider: string, model: string) =>
      resolvePrice(list, { provider, model, customerTypeId: null, currency: "USD", at: new Date() })?.price.rates;
    expect(priceAt("openrouter", "google/gemma-3-27b-it:free")).toEqual({ token: 0n });
    expect(priceAt("openai", "omni-moderation-latest")).toEqual({ token: 0n });
    expect(priceAt("openrouter", "google/lyria-3-pro-preview")).toBeUndefined();
    expect(priceAt("google", "gemma-3-27b-it")).toBeUndefined();
    expect(priceAt("openai", "whisper-1")).toBeUndefined();
    expect(readPriceSource(providers).skipped).toContainEqual({
      provider: "openai",
      model: "whisper-1",
      reason: "it is priced by audio_hours and input_audio_hours, which are not counted here",
    });
  });

  it("by a name that its provider's API knows, where the source has one", () => {
    const { models } = readPriceSource(providers);
    const unknown = models.filter(({ provider, model }) => calcPrice({}, model, { providerId: provider }) === null);
    expect(models).toContainEqual(expect.objectContaining({ provider: "mistral", model: "codestral-latest" }));
    for (const { provider, model, match } of unknown)
      expect(JSON.stringify(match), `${provider}/${model}`).not.toContain('"equals"');
  });

  it("a number is taken by its decimal text, not through floats", () => {
    const model = {
      id: "m",
      match: { equals: "m" },
      prices: { input_mtok: 0.1 + 0.2, output_mtok: 8.2, requests_kcount: 0.7 },
    };
    const { models } = readPriceSource([{ id: "acme", name: "Acme", api_pattern: "", models: [model] }]);
    expect(models[0]?.dated[0]?.terms[0]).toMatchObject({
      inputPrice: "0.000000300000",
      outputPrice: "0.000008200000",
      requestPrice: "0.000700000000",
    });
  });

  it("for each model, moment and size of input", () => {
    const { models } = readPriceSource(providers);
    let compared = 0;
    for (const { provider, model } of models)
      for (const at of [
        "2024-06-01T12:00:00Z",
        "2026-08-16T23:59:59.999Z",
        "2026-08-17T00:00:00Z",
        "2027-03-01T03:30:00Z",
      ])
        for (const inputTokens of [1_000, 128_001, 200_000, 200_001, 272_000, 400_000]) {
          const usage: Usage = {
            inputTokens,
            cachedInputTokens: Math.floor(inputTokens / 3),
            cacheWriteTokens: Math.floor(inputTokens / 5),
            cacheWrite1hTokens: Math.floor(inputTokens / 11),
            inputAudioTokens: Math.floor(inputTokens / 7),
            cachedInputAudioTokens: Math.floor(inputTokens / 13),
            outputTokens: 1_234,
            outputAudioTokens: 321,
            reasoningTokens: 111,
            totalTokens: inputTokens + 1_234,
          };
          const theirs = calcPrice(toSourceUsage(usage), model, { providerId: provider, timestamp: new Date(at) });
          if (theirs === null) continue;
          const inexact = inexactCacheWrites.has(`${provider} ${model}`) ? usage.cacheWriteTokens : 0;
          expectSameCost(
            ourCost(provider, model, usage, new Date(at)),
            theirs.total_price,
            `${provider}/${model} ${at} ${inputTokens}`,
            inexact,
          );
          compared += 1;
        }
    expect(compared).toBeGreaterThan(38_000);
  });

  it("at every quarter of an hour of a day, where the hour counts", () => {
    const usage: Usage = {
      inputTokens: 3_000,
      cachedInputTokens: 500,
      cacheWriteTokens: 0,
      outputTokens: 700,
      reasoningTokens: 0,
      totalTokens: 3_700,
    };
    const costs = new Set<string>();
    for (const model of ["deepseek-chat", "deepseek-reasoner", "deepseek-v4-flash", "deepseek-v4-pro"])
      for (let minute = 0; minute < 24 * 60; minute += 15)
        for (const second of [0, 59.999]) {
          const at = new Date(Date.UTC(2026, 8, 1) + minute * 60_000 + second * 1_000);
          const theirs = calcPrice(toSourceUsage(usage), model, { providerId: "deepseek", timestamp: at });
          const ours = ourCost("deepseek", model, usage, at);
          expectSameCost(ours, theirs?.total_price ?? Number.NaN, `${model} ${at.toISOString()}`);
          costs.add(`${model} ${ours}`);
        }
    expect(costs.size).toBe(8);
  });
});

function toSourceUsage(usage: Usage): SourceUsage {
  return {
    input_tokens: usage.inputTokens,
    cache_read_tokens: usage.cachedInputTokens,
    cache_write_tokens: usage.cacheWriteTokens,
    cache_write_1h_tokens: usage.cacheWrite1hTokens,
    input_audio_tokens: usage.inputAudioTokens,
    cache_audio_read_tokens: usage.cachedInputAudioTokens,
    output_tokens: usage.outputTokens,
    output_audio_tokens: usage.outputAudioTokens,
    output_reasoning_tokens: usage.reasoningTokens,
  };
}

type Recorded = { provider: string; flavor: string; model: string; usage: Record<string, unknown> };

/** Usage as the providers' answers carry it, its numbers from a fixed sequence. */
function recordedUsage(): Recorded[] {
  let state = 20_260_923;
  const upTo = (most: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state % (most + 1);
  };
  const chat = (): Record<string, unknown> => {
    const [prompt, completion] = [upTo(300_000), upTo(8_000)];
    return {
      prompt_tokens: prompt,
      completion_tokens: completion,
      total_tokens: prompt + completion,
      prompt_tokens_details: { cached_tokens: upTo(Math.floor(prompt / 2)), audio_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: upTo(completion), audio_tokens: 0 },
    };
  };
  const responses = (): Record<string, unknown> => {
    const [input, output] = [upTo(300_000), upTo(8_000)];
    const cached = upTo(Math.floor(input / 2));
    return {
      input_tokens: input,
      input_tokens_details: { cached_tokens: cached, cache_write_tokens: upTo(Math.floor(input / 3)) },
      output_tokens: output,
      output_tokens_details: { reasoning_tokens: upTo(output) },
      total_tokens: input + output,
    };
  };
  const messages = (): Record<string, unknown> => {
    const [fiveMinutes, hour] = [upTo(50_000), upTo(50_000)];
    return {
      input_tokens: upTo(150_000),
      cache_creation_input_tokens: fiveMinutes + hour,
      cache_creation: { ephemeral_5m_input_tokens: fiveMinutes, ephemeral_1h_input_tokens: hour },
      cache_read_input_tokens: upTo(100_000),
      output_tokens: upTo(8_000),
    };
  };
  const xai = (): Record<string, unknown> => {
    const [prompt, completion, reasoning] = [upTo(250_000), upTo(4_000), 1 + upTo(4_000)];
    return {
      prompt_tokens: prompt,
      completion_tokens: completion,
      total_tokens: prompt + completion + reasoning,
      prompt_tokens_details: { cached_tokens: upTo(Math.floor(prompt / 2)) },
      completion_tokens_details: { reasoning_tokens: reasoning },
    };
  };
  const embeddings = (): Record<string, unknown> => {
    const prompt = upTo(8_191);
    return { prompt_tokens: prompt, total_tokens: prompt };
  };
  const kinds: [provider: string, flavor: string, usage: () => Record<string, unknown>, models: string[]][] = [
    [
      "openai",
      "chat",
      chat,
      ["gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-mini", "gpt-35-turbo", "o3", "gpt-5.4", "gpt-6-luna-2026-10-01"],
    ],
    ["openai", "responses", responses, ["gpt-5", "gpt-5.6-sol", "gpt-5.5-2026-04-23", "o4-mini"]],
    [
      "openai",
      "embeddings",
      embeddings,
      ["text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002"],
    ],
    [
      "anthropic",
      "default",
      messages,
      ["claude-3-5-sonnet-20241022", "claude-sonnet-4-5", "claude-opus-4-1-20250805", "claude-haiku-4-5"],
    ],
    ["google", "chat", chat, ["gemini-2.5-pro", "gemini-2.5-flash", "gemini-1.5-pro-002", "gemini-3-pro-preview"]],
    ["mistral", "default", chat, ["mistral-large-latest", "mistral-medium-latest", "codestral-2508"]],
    ["deepseek", "chat", chat, ["deepseek-chat", "deepseek-reasoner", "deepseek-v4-pro"]],
    ["x-ai", "chat", xai, ["grok-4", "grok-4.3", "grok-3-mini"]],
  ];
  return kinds.flatMap(([provider, flavor, usage, models]) =>
    Array.from({ length: 25 }, (_, i) => ({
      provider,
      flavor,
      model: models[i % models.length] ?? "",
      usage: usage(),
    })),
  );
}

describe("recorded usage costs what the source computes", () => {
  it("for 200 usage objects in the dialects of eight providers' answers", () => {
    const at = new Date("2026-09-30T12:00:00Z");
    const recorded = recordedUsage();
    expect(recorded).toHaveLength(200);
    for (const { provider: id, flavor, model, usage } of recorded) {
      const provider = findProvider({ providerId: id });
      if (!provider) throw new Error(`the source has no ${id}`);
      const extracted = extractUsage(provider, { model, usage }, flavor).usage;
      const theirs = calcPrice(extracted, model, { providerId: id, timestamp: at });
      const read = readUsage(usage);
      if (!theirs || !read) throw new Error(`${id}/${model} is not priced`);
      const what = `${id}/${model} ${JSON.stringify(usage)}`;
      expect([read.inputTokens, read.outputTokens], what).toEqual([
        extracted["input_tokens"],
        extracted["output_tokens"] ?? 0,
      ]);
      expectSameCost(ourCost(id, model, read, at), theirs.total_price, what);
      // Asked for without its provider, a model has its maker's price.
      const bare = resolvePrice(list, { model, customerTypeId: null, currency: "USD", at });
      expect(bare?.provider, what).toBe(id);
    }
  });
});

describe("names mean the models that they mean at the source", () => {
  it("no exact name of a provider means two of its models", () => {
    for (const { provider, model, match } of readPriceSource(providers).models)
      for (const name of "or" in match ? match.or.flatMap((one) => ("equals" in one ? [one.equals] : [])) : []) {
        const found = resolvePrice(list, {
          provider,
          model: name,
          customerTypeId: null,
          currency: "USD",
          at: new Date(),
        });
        expect(found?.price.model, `${provider}/${name}`).toBe(model);
      }
  });

  it("a bare name means the maker that the source finds by it", () => {
    const hosts = new Set(["cerebras", "cloudflare", "fireworks"]);
    let compared = 0;
    for (const { id } of providers)
      for (const { model } of readPriceSource(providers.filter((provider) => provider.id === id)).models) {
        const maker = findProvider({ modelId: model })?.id;
        if (!maker || hosts.has(maker) || maker !== id) continue;
        expect(makersOf(model.toLowerCase())[0], model).toBe(maker);
        compared += 1;
      }
    expect(compared).toBeGreaterThan(200);
  });

  it("the hosts that sell at the makers' prices are those of the source", () => {
    const fallbacks = providers.flatMap(({ id, fallback_model_providers: makers }) =>
      makers ? [[id, makers] as const] : [],
    );
    expect([...pricedAsMaker]).toEqual(fallbacks);
  });
});
