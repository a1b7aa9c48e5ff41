import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type CostlyRow,
  costOf,
  explainCost,
  formatUnits,
  loadPriceList,
  metadataOf,
  resolvePrice,
  type Usage,
} from "../src/index.ts";
import { openStage, type Stage } from "./stage.ts";

let stage: Stage;
let priceId: string;
beforeAll(async () => {
  stage = await openStage();
  const [row] = await stage.query<{ id: string }>(
    `INSERT INTO data.model_price (provider, model, price_model, input_price, cached_input_price, cache_write_price, output_price, request_price, tiers)
     VALUES ('acme', 'm', 'per_input_output', 0.0000025, 0.00000125, 0.0000031, 0.00001, 0.001,
             '[{"above_input_tokens": 200000, "input_price": "0.000005"}]') RETURNING id`,
  );
  priceId = row?.id ?? "";
});
afterAll(() => stage.close());

const plain: Usage = {
  inputTokens: 1_000,
  outputTokens: 100,
  totalTokens: 1_100,
  cachedInputTokens: 0,
  cacheWriteTokens: 0,
  reasoningTokens: 0,
};

/** What settling would write for a call of this usage. */
async function rowOf(usage: Usage, more: Partial<CostlyRow> = {}): Promise<CostlyRow> {
  const query = { provider: "acme", model: "m", customerTypeId: null, currency: "USD", at: new Date() };
  const resolved = resolvePrice(await loadPriceList(stage.db), query);
  if (!resolved) throw new Error("no price");
  const cost = costOf(resolved.price, usage);
  return {
    cost: formatUnits(cost.costNanos),
    accountSeq: "2",
    usageSource: "provider",
    inputTokens: String(usage.inputTokens),
    outputTokens: String(usage.outputTokens),
    totalTokens: String(usage.totalTokens),
    metadata: JSON.parse(JSON.stringify(metadataOf(cost, usage))),
    ...more,
  };
}

describe("Section 7: every row says why it cost that", () => {
  test("tokens by kind × the price that held, with cached tokens, writes, a tier", async () => {
    const usage = {
      ...plain,
      inputTokens: 300_000,
      cachedInputTokens: 100_000,
      cacheWriteTokens: 50_000,
      totalTokens: 300_100,
    };
    const row = await rowOf(usage);
    expect(row.metadata).toEqual({
      price_id: priceId,
      usage: { cached_input_tokens: 100_000, cache_write_tokens: 50_000 },
    });
    const explained = await explainCost(stage.db, row);
    expect(explained).toMatchObject({ outcome: "explained", counted: false, cost: row.cost, sum: "1.032000000000" });
    expect(explained.explanation?.above_input_tokens).toBe(200_000);
    expect(
      explained.explanation?.lines.map(({ kind, quantity, price, amount }) => `${kind} ${quantity} ${price} ${amount}`),
    ).toEqual([
      "cache_write 50000 0.000003100000 0.155000000000",
      "cached_input 100000 0.000001250000 0.125000000000",
      "input 150000 0.000005000000 0.750000000000",
      "output 100 0.000010000000 0.001000000000",
      "request 1 0.001000000000 0.001000000000",
    ]);
  });

  test("a call without such parts keeps nothing beside its price, and counted tokens are said to be counted", async () => {
    const row = await rowOf(plain, { usageSource: "estimated" });
    expect(row.metadata).toEqual({ price_id: priceId });
    expect(await explainCost(stage.db, row)).toMatchObject({ outcome: "explained", counted: true });
  });

  test.each<[string, Partial<CostlyRow>]>([
    ["older_producer", { metadata: {}, accountSeq: null, usageSource: null }],
    ["external", { metadata: {}, usageSource: "reported" }],
    ["no_price", { metadata: null }],
    ["no_price", { metadata: "text" }],
    ["price_gone", { metadata: { price_id: "999999" } }],
    ["differs", { cost: "7.000000000" }],
    ["differs", { inputTokens: "1001" }],
  ])("what cannot be reckoned again is not explained: %s", async (why, more) => {
    expect(await explainCost(stage.db, await rowOf(plain, more))).toMatchObject({ outcome: "unexplained", why });
  });
});
