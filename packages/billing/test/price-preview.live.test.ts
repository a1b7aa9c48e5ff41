import { closeDb, connectDb } from "@drawdown/db";
import { testDatabase } from "@drawdown/local-stack";
import { afterAll, beforeAll, expect, test } from "vitest";
import { previewPriceChange, priceCall, removePrice, setPrice } from "../src/index.ts";

const usage = {
  inputTokens: 1_000,
  cachedInputTokens: 0,
  cacheWriteTokens: 0,
  outputTokens: 100,
  reasoningTokens: 0,
  totalTokens: 1_100,
};
const named = { provider: "acme", model: "house-1", priceModel: "per_input_output" as const };
const query = { ...named, customerTypeId: null, currency: "USD" };

let db: ReturnType<typeof connectDb>;
beforeAll(async () => {
  const { url } = await testDatabase();
  db = connectDb(url, { max: 2, applicationName: "price preview test", onConnectionError: () => {} });
});
afterAll(async () => await closeDb(db));

test("7.5 what a preview says a price would change is what it changes, set and removed", async () => {
  const cost = async () => (await priceCall({ db }, { ...query, at: new Date() }, usage))?.cost ?? null;
  const why = { actor: "test", role: "admin" as const, reason: "test" };
  const wanted = { ...named, inputPrice: "0.000002", outputPrice: "0.00001" };
  expect(await previewPriceChange({ db }, { set: wanted }, usage)).toMatchObject({
    outcome: "previewed",
    before: null,
    after: { cost: "0.003000000" },
  });
  expect(await cost()).toBeNull();
  await setPrice({ db }, { ...wanted, validFrom: new Date(Date.now() - 60_000) }, why);
  expect(await cost()).toBe("0.003000000");
  const dearer = { ...wanted, outputPrice: "0.00002" };
  const set = await setPrice({ db }, { ...dearer, validFrom: new Date(Date.now() - 1_000) }, why);
  if (set.outcome !== "set") throw new Error("The price was not set.");
  expect(await previewPriceChange({ db }, { remove: set.price.id }, usage)).toMatchObject({
    before: { cost: "0.004000000" },
    after: { cost: "0.003000000" },
  });
  await removePrice({ db }, set.price.id, why);
  expect(await cost()).toBe("0.003000000");
  expect(await previewPriceChange({ db }, { remove: set.price.id }, usage)).toEqual({ outcome: "unknown_price" });
});

test("7.5 a preview refuses in words what setting it would refuse", async () => {
  const tooFine = { ...named, inputPrice: "0.0000000000001", outputPrice: "1" };
  expect(await previewPriceChange({ db }, { set: tooFine }, usage)).toMatchObject({ outcome: "refused" });
  const badName = { ...named, inputPrice: "1", outputPrice: "1", match: { regex: "(" } };
  expect(await previewPriceChange({ db }, { set: badName }, usage)).toMatchObject({ outcome: "refused" });
});

test("7.5 a price with hours is reckoned in its hours", async () => {
  const night = {
    ...named,
    model: "night",
    inputPrice: "0.000001",
    outputPrice: "0",
    window: { start: "03:00", end: "04:00" },
  };
  const preview = await previewPriceChange({ db }, { set: night }, usage);
  if (preview.outcome !== "previewed") throw new Error("It was not previewed.");
  expect(preview.at.toISOString()).toMatch(/T03:00:00\.000Z$/);
  expect(preview.after?.cost).toBe("0.001000000");
});
