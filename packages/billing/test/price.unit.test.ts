import { Big } from "big.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { costOf, formatUnits, MAX_AMOUNT_NANOS, type Price, readUsage, type Usage } from "../src/index.ts";
import { buildPriceList, type PriceRow, resolvePrice } from "../src/price-list.ts";
import { priceRow } from "./price-rows.ts";

const none: Usage = {
  inputTokens: 0,
  cachedInputTokens: 0,
  cacheWriteTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
  totalTokens: 0,
};

function priceOf(fields: Partial<PriceRow>): Price {
  const list = buildPriceList([priceRow({ provider: "acme", model: "m", ...fields })]);
  expect(list.problems).toEqual([]);
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

function costText(fields: Partial<PriceRow>, usage: Partial<Usage>): string {
  return formatUnits(costOf(priceOf(fields), { ...none, ...usage }).costNanos);
}

describe("what the replaced system got wrong", () => {
  it("OpenAI's prompt_tokens are not counted as 0", () => {
    const usage = readUsage({ prompt_tokens: 1_000_000, completion_tokens: 100_000, total_tokens: 1_100_000 });
    if (!usage) throw new Error("no usage");
    const { costNanos } = costOf(priceOf({ inputPrice: "0.0000025", outputPrice: "0.00001" }), usage);
    expect(formatUnits(costNanos)).toBe("3.500000000");
  });

  it("a price of 0 is a price", () => {
    const list = buildPriceList([priceRow({ provider: "acme", model: "free", inputPrice: "0", outputPrice: "0" })]);
    const query = { provider: "acme", customerTypeId: null, currency: "USD", at: new Date() };
    expect(resolvePrice(list, { ...query, model: "free" })?.price.rates).toEqual({ input: 0n, output: 0n });
    expect(resolvePrice(list, { ...query, model: "unknown" })).toBeUndefined();
  });

  it("a cached price of 0 is not the price of input", () => {
    const free = { inputPrice: "0.000003", cachedInputPrice: "0", cacheWritePrice: "0", outputPrice: "0" };
    expect(costText(free, { inputTokens: 10, cachedInputTokens: 6, cacheWriteTokens: 4 })).toBe("0.000000000");
  });

  it("a free call has a cost, and it is 0", () => {
    const { costNanos, explanation } = costOf(priceOf({}), { ...none, inputTokens: 5, outputTokens: 7 });
    expect(costNanos).toBe(0n);
    expect(explanation.lines.map(({ kind, quantity }) => [kind, quantity])).toEqual([
      ["input", 5],
      ["output", 7],
    ]);
  });

  it("costs are no floats: 0.1 + 0.2 is 0.3", () => {
    const price = { inputPrice: "0.1", outputPrice: "0.2" };
    expect(costText(price, { inputTokens: 1, outputTokens: 1 })).toBe("0.300000000");
  });
});

describe("a cost is exact and rounded once", () => {
  it("is exact at 2^53 - 1, 2^53 and 2^53 + 1 nanos", () => {
    const price = priceOf({ inputPrice: "0.000000001", requestPrice: "0.000000001" });
    for (const tokens of [2 ** 53 - 2, 2 ** 53 - 1, 2 ** 53])
      expect(costOf(price, { ...none, inputTokens: tokens }).costNanos).toBe(BigInt(tokens) + 1n);
  });

  it("is exact at 999,999,999.999999999 units and refused above", () => {
    const price = priceOf({ inputPrice: "999999.999999999", outputPrice: "0.000000999" });
    const usage = { ...none, inputTokens: 1_000, outputTokens: 1 };
    expect(costOf(price, usage).costNanos).toBe(MAX_AMOUNT_NANOS);
    expect(() => costOf(price, { ...usage, outputTokens: 2 })).toThrow(
      expect.objectContaining({ code: "invalid_amount" }),
    );
  });

  it.each([
    ["0.0000000005", "0.000000000"],
    ["0.000000001499", "0.000000001"],
    ["0.0000000015", "0.000000002"],
    ["0.000000001501", "0.000000002"],
    ["0.0000000025", "0.000000002"],
    ["0.0000000035", "0.000000004"],
  ])("rounds %s half-even to %s", (inputPrice, cost) => {
    expect(costText({ inputPrice }, { inputTokens: 1 })).toBe(cost);
  });

  it("rounds the sum, not its parts", () => {
    // Each part alone would round to 0 (half-even at .5), or up to 1 if it were rounded half-up.
    expect(
      costText({ inputPrice: "0.0000000005", outputPrice: "0.0000000005" }, { inputTokens: 1, outputTokens: 1 }),
    ).toBe("0.000000001");
  });

  it("agrees with an independent big-decimal computation", () => {
    const rate = fc
      .bigInt({ min: 0n, max: 10n ** 10n })
      .map((picos) => new Big(picos.toString()).div(1e12).toFixed(12));
    const tokens = fc.oneof(fc.nat(2_000_000), fc.nat(30));
    fc.assert(
      fc.property(fc.tuple(rate, rate, rate, rate), fc.tuple(tokens, tokens, tokens, tokens), (rates, counts) => {
        const [inputPrice, cachedInputPrice, cacheWritePrice, outputPrice] = rates;
        const [fresh, cachedInputTokens, cacheWriteTokens, outputTokens] = counts;
        const price = priceOf({ inputPrice, cachedInputPrice, cacheWritePrice, outputPrice });
        const inputTokens = fresh + cachedInputTokens + cacheWriteTokens;
        const usage = { ...none, inputTokens, cachedInputTokens, cacheWriteTokens, outputTokens };
        const expected = [fresh, cachedInputTokens, cacheWriteTokens, outputTokens]
          .reduce((sum, count, i) => sum.plus(new Big(rates[i] ?? "0").times(count)), new Big(0))
          .round(9, Big.roundHalfEven)
          .toFixed(9);
        expect(formatUnits(costOf(price, usage).costNanos)).toBe(expected);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("each price model", () => {
  it("per token: one price for all tokens, cached or not", () => {
    const price = { priceModel: "per_token", tokenPrice: "0.000002", inputPrice: null, outputPrice: null } as const;
    expect(costText(price, { inputTokens: 100, cachedInputTokens: 90, outputTokens: 50 })).toBe("0.000300000");
  });

  it("per request: whatever was used", () => {
    const price = { priceModel: "per_request", requestPrice: "0.04", inputPrice: null, outputPrice: null } as const;
    expect(costText(price, { inputTokens: 1e9, outputTokens: 1e9 })).toBe("0.040000000");
    expect(costText(price, {})).toBe("0.040000000");
  });

  it("per input and output token, with a fee per request beside them", () => {
    const price = { inputPrice: "0.000001", outputPrice: "0.000001", requestPrice: "0.012" };
    expect(costText(price, { inputTokens: 3, outputTokens: 4 })).toBe("0.012007000");
  });

  it("cached input, cache writes and one-hour writes have prices of their own, else that of what they are part of", () => {
    const usage = {
      inputTokens: 1_000,
      cachedInputTokens: 100,
      cacheWriteTokens: 300,
      cacheWrite1hTokens: 200,
      outputTokens: 10,
    };
    const price = { inputPrice: "0.000003", outputPrice: "0.000015" };
    const all = { cachedInputPrice: "0.0000003", cacheWritePrice: "0.00000375", cacheWrite1hPrice: "0.000006" };
    expect(costText(price, usage)).toBe("0.003150000");
    expect(costText({ ...price, ...all }, usage)).toBe("0.003555000");
    expect(costText({ ...price, ...all, cacheWrite1hPrice: null }, usage)).toBe("0.003105000");
    expect(costText({ ...price, ...all, cachedInputPrice: null }, usage)).toBe("0.003825000");
  });

  it("audio, images and reasoning cost their own price where there is one", () => {
    const usage = {
      inputTokens: 100,
      inputAudioTokens: 60,
      cachedInputTokens: 30,
      outputTokens: 50,
      outputAudioTokens: 20,
      reasoningTokens: 5,
    };
    const price = { inputPrice: "0.000001", outputPrice: "0.000002", cachedInputPrice: "0.0000001" };
    expect(costText(price, usage)).toBe("0.000173000");
    const detailPrices = {
      input_audio_price: "0.00001",
      cached_input_audio_price: "0.000001",
      output_audio_price: "0.00002",
      output_reasoning_price: "0.000003",
    };
    // 10 text, 60 audio, 30 cached text; 25 text, 20 audio, 5 reasoning.
    expect(costText({ ...price, detailPrices }, usage)).toBe("0.001078000");
    // As many audio tokens were cached as the counts force: 20 of them.
    const squeezed = { ...usage, cachedInputTokens: 60 };
    expect(costOf(priceOf({ ...price, detailPrices }), { ...none, ...squeezed }).explanation.lines).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ kind: "cached_input_audio", quantity: 20 }),
        expect.objectContaining({ kind: "cached_input", quantity: 40 }),
        expect.objectContaining({ kind: "input_audio", quantity: 40 }),
      ]),
    );
  });

  it("a tier holds for the whole call, from one token above its bound", () => {
    const price = {
      inputPrice: "0.000001",
      cachedInputPrice: "0.0000001",
      outputPrice: "0.000005",
      tiers: [
        { above_input_tokens: 500, input_price: "0.000003" },
        { above_input_tokens: 200, input_price: "0.000002", output_price: "0.000006" },
      ],
    };
    expect(costText(price, { inputTokens: 200, outputTokens: 10 })).toBe("0.000250000");
    expect(costText(price, { inputTokens: 201, outputTokens: 10 })).toBe("0.000462000");
    expect(costText(price, { inputTokens: 501, outputTokens: 10 })).toBe("0.001563000");
    expect(costText(price, { inputTokens: 201, cachedInputTokens: 201 })).toBe("0.000020100");
  });
});

describe("usage that does not add up is refused, never guessed at", () => {
  const price = priceOf({
    cacheWritePrice: "1",
    detailPrices: { input_audio_price: "1", output_audio_price: "1", output_reasoning_price: "1" },
  });
  it.each<[Partial<Usage>]>([
    [{ inputTokens: 1, cachedInputTokens: 2 }],
    [{ inputTokens: 3, cachedInputTokens: 2, cacheWriteTokens: 2 }],
    [{ inputTokens: 3, cacheWriteTokens: 1, cacheWrite1hTokens: 2 }],
    [{ inputTokens: 3, inputAudioTokens: 4 }],
    [{ inputTokens: 3, inputAudioTokens: 1, cachedInputAudioTokens: 2 }],
    [{ inputTokens: 3, inputAudioTokens: 1, cachedInputAudioTokens: 1 }],
    [{ inputTokens: 3, cachedInputTokens: 2, inputAudioTokens: 1, cachedInputAudioTokens: 2 }],
    [{ outputTokens: 3, outputAudioTokens: 2, reasoningTokens: 2 }],
    [{ inputTokens: -1 }],
    [{ inputTokens: 1.5 }],
    [{ outputTokens: Number.NaN }],
    [{ inputTokens: 2 ** 53, outputTokens: 2 }],
  ])("%j", (usage) => {
    expect(() => costOf(price, { ...none, ...usage })).toThrow(expect.objectContaining({ code: "invalid_request" }));
  });
});

describe("a cost is explained", () => {
  it("by tokens of each kind × the price that held, and survives JSON", () => {
    const price = priceOf({
      inputPrice: "0.0000025",
      cachedInputPrice: "0.00000125",
      outputPrice: "0.00001",
      tiers: [{ above_input_tokens: 1_000, output_price: "0.00002" }],
      validFrom: new Date("2026-01-01T00:00:00Z"),
    });
    const usage = { ...none, inputTokens: 2_000, cachedInputTokens: 500, outputTokens: 30 };
    const { costNanos, explanation } = costOf(price, usage);
    expect(JSON.parse(JSON.stringify(explanation))).toEqual({
      price_id: price.id.toString(),
      provider: "acme",
      model: "m",
      customer_type_id: null,
      currency: "USD",
      price_model: "per_input_output",
      valid_from: "2026-01-01T00:00:00.000Z",
      source: "operator",
      above_input_tokens: 1_000,
      lines: [
        { kind: "cached_input", quantity: 500, price: "0.000001250000", amount: "0.000625000000" },
        { kind: "input", quantity: 1_500, price: "0.000002500000", amount: "0.003750000000" },
        { kind: "output", quantity: 30, price: "0.000020000000", amount: "0.000600000000" },
      ],
    });
    expect(formatUnits(costNanos)).toBe("0.004975000");
    expect(costOf(price, { ...none, inputTokens: 1_000 }).explanation).not.toHaveProperty("above_input_tokens");
  });
});
