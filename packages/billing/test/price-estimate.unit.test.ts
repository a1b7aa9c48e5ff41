import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  buildPriceList,
  costOf,
  MAX_AMOUNT_NANOS,
  type Price,
  type PriceRow,
  resolvePrice,
  upperEstimate,
} from "../src/index.ts";
import { priceRow } from "./price-rows.ts";

function priceOf(fields: Partial<PriceRow>): Price {
  const list = buildPriceList([priceRow({ provider: "acme", model: "m", ...fields })]);
  const found = resolvePrice(list, {
    provider: "acme",
    model: "m",
    customerTypeId: null,
    currency: "USD",
    at: new Date(),
  });
  if (!found) throw new Error("the row is no price");
  return found.price;
}

/** One nano a token: the estimate's cost is its count of tokens. */
const nanoPerToken = priceOf({
  priceModel: "per_token",
  tokenPrice: "0.000000001",
  inputPrice: null,
  outputPrice: null,
});
const chat = (content: unknown) => ({ model: "m", max_tokens: 10, messages: [{ role: "user", content }] });

describe("the estimate is from above", () => {
  it("for any text: at least a token per byte, and the limit on output", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", minLength: 1, maxLength: 60 }).map((text) => text.repeat(40)),
        fc.integer({ min: 1, max: 100_000 }),
        (text, limit) => {
          const { inputTokens, outputTokens, costNanos } = upperEstimate(nanoPerToken, {
            ...chat(text),
            max_tokens: limit,
          });
          expect(inputTokens).toBeGreaterThanOrEqual(Buffer.byteLength(text));
          expect(outputTokens).toBe(limit);
          expect(costNanos).toBe(BigInt(inputTokens + outputTokens));
        },
      ),
    );
  });

  it("for the text wherever the dialects put it", () => {
    const text = "é".repeat(5_000);
    for (const body of [
      chat(text),
      chat([{ type: "text", text }]),
      { max_output_tokens: 10, input: text },
      { max_output_tokens: 10, input: [{ role: "user", content: [{ type: "input_text", text }] }] },
      { max_tokens: 10, system: text, messages: [] },
      { max_tokens: 10, messages: [], tools: [{ type: "function", function: { name: "f", description: text } }] },
      { input: [text] },
    ])
      expect(upperEstimate(nanoPerToken, body).inputTokens).toBeGreaterThanOrEqual(10_000);
  });

  it("for every use of the request that stays within its limits", () => {
    const price = priceOf({
      inputPrice: "0.000003",
      cachedInputPrice: "0.0000003",
      cacheWritePrice: "0.00000375",
      cacheWrite1hPrice: "0.000006",
      outputPrice: "0.000015",
      requestPrice: "0.01",
      detailPrices: { output_reasoning_price: "0.00002" },
      tiers: [
        { above_input_tokens: 2_000, input_price: "0.000006", cache_write_price: "0.0000075", output_price: "0.00001" },
      ],
    });
    const part = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(fc.nat(4_000), part, part, part, part, part, (length, ...parts) => {
        const body = {
          ...chat([{ type: "text", text: "x".repeat(length), cache_control: { type: "ephemeral", ttl: "1h" } }]),
          max_tokens: 5_000,
          n: 2,
        };
        const most = upperEstimate(price, body);
        const inputTokens = Math.floor(most.inputTokens * parts[0]);
        const outputTokens = Math.floor(most.outputTokens * parts[1]);
        const cachedInputTokens = Math.floor(inputTokens * parts[2]);
        const cacheWriteTokens = Math.floor((inputTokens - cachedInputTokens) * parts[3]);
        const { costNanos } = costOf(price, {
          inputTokens,
          cachedInputTokens,
          cacheWriteTokens,
          cacheWrite1hTokens: Math.floor(cacheWriteTokens * parts[4]),
          outputTokens,
          reasoningTokens: Math.floor(outputTokens * parts[4]),
          totalTokens: inputTokens + outputTokens,
        });
        expect(costNanos).toBeLessThanOrEqual(most.costNanos);
      }),
      { numRuns: 500 },
    );
  });

  it("for an input that stays below a tier with lower prices", () => {
    const price = priceOf({
      outputPrice: "1",
      tiers: [{ above_input_tokens: 100, output_price: "0" }],
    });
    expect(upperEstimate(price, chat("x".repeat(200))).costNanos).toBe(10_000_000_000n);
  });

  it("counts a picture as such, in every dialect, not by the length of its data", () => {
    const data = "A".repeat(1_000_000);
    for (const part of [
      { type: "image_url", image_url: { url: `data:image/png;base64,${data}` } },
      { type: "input_image", image_url: `data:image/png;base64,${data}` },
      { type: "image", source: { type: "base64", media_type: "image/png", data } },
      { type: "image_url", image_url: { url: "https://example.com/a.png" } },
    ]) {
      const { inputTokens } = upperEstimate(nanoPerToken, chat([part]));
      expect(inputTokens).toBeGreaterThanOrEqual(6_000);
      expect(inputTokens).toBeLessThan(10_000);
    }
  });

  it("prices sound and pictures at their own price where the request has them", () => {
    const price = priceOf({
      inputPrice: "0.000001",
      detailPrices: { input_audio_price: "0.001", output_audio_price: "0.002" },
    });
    const sound = { type: "input_audio", input_audio: { data: "A".repeat(20_000), format: "mp3" } };
    const without = upperEstimate(price, chat("x"));
    const withSound = upperEstimate(price, chat([sound]));
    expect(without.costNanos).toBe(BigInt(without.inputTokens) * 1_000n);
    expect(withSound.inputTokens).toBeGreaterThanOrEqual(1_000);
    expect(withSound.costNanos).toBe(BigInt(withSound.inputTokens) * 1_000_000n + 10n * 2_000_000n);
    expect(upperEstimate(price, { ...chat("x"), modalities: ["text", "audio"] }).costNanos).toBeGreaterThan(
      20_000_000n,
    );
  });
});

describe("the limit on output", () => {
  const outputOf = (body: unknown) => upperEstimate(nanoPerToken, body, 77).outputTokens;

  it("is read by all its names, times the number of answers", () => {
    expect(outputOf({ max_tokens: 5 })).toBe(5);
    expect(outputOf({ max_completion_tokens: 6 })).toBe(6);
    expect(outputOf({ max_output_tokens: 7 })).toBe(7);
    expect(outputOf({ max_tokens: 5, max_completion_tokens: 8, n: 3 })).toBe(24);
    expect(outputOf({ max_tokens: 5, n: 0 })).toBe(5);
    expect(outputOf({ max_tokens: 0 })).toBe(0);
  });

  it.each([
    [{}],
    [{ max_tokens: null }],
    [{ max_tokens: "9" }],
    [{ max_tokens: -1 }],
    [{ max_tokens: 1.5 }],
    [null],
    ["x"],
    [[]],
  ])("is the default for %j", (body) => {
    expect(outputOf(body)).toBe(77);
  });
});

describe("any body has an estimate", () => {
  it("deeply nested, huge, or senseless", () => {
    let deep: unknown = "x";
    for (let i = 0; i < 200_000; i += 1) deep = [deep];
    expect(upperEstimate(nanoPerToken, { deep }).inputTokens).toBeGreaterThan(0);
    const dear = priceOf({ inputPrice: "999999", outputPrice: "999999" });
    expect(upperEstimate(dear, { max_tokens: 1e300, n: 1e300 }).costNanos).toBe(MAX_AMOUNT_NANOS);
  });

  it("a price per request is its estimate", () => {
    const price = priceOf({ priceModel: "per_request", requestPrice: "0.04", inputPrice: null, outputPrice: null });
    expect(upperEstimate(price, chat("x".repeat(10_000))).costNanos).toBe(40_000_000n);
  });
});
