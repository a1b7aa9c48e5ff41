import { closeDb, connectDb, type Db, modelPrice } from "@drawdown/db";
import { type TestDatabase, testDatabase } from "@drawdown/local-stack";
import { waitForUpdate } from "@pydantic/genai-prices";
import { eq, sql } from "drizzle-orm";
import { afterEach, beforeEach, expect, it } from "vitest";
import { costOf, importPrices, loadPriceList, resolvePrice } from "../src/index.ts";
import { reachableProviders } from "../src/price-import.ts";
import { readPriceSource } from "../src/price-source.ts";

let database: TestDatabase;
let db: Db;
beforeEach(async () => {
  database = await testDatabase();
  db = connectDb(database.url);
});
afterEach(async () => {
  await closeDb(db);
  await database.drop();
});

const usage = {
  inputTokens: 1_000_000,
  cachedInputTokens: 0,
  cacheWriteTokens: 0,
  outputTokens: 1_000_000,
  reasoningTokens: 0,
  totalTokens: 2_000_000,
};

async function costAt(model: string, at: Date, customerTypeId: string | null = null): Promise<bigint | undefined> {
  const found = resolvePrice(await loadPriceList(db), { model, customerTypeId, currency: "USD", at });
  return found && costOf(found.price, usage).costNanos;
}

async function allRows(): Promise<unknown[]> {
  const { rows } = await db.$client.query("SELECT * FROM data.model_price ORDER BY id");
  return rows;
}

it("prices are real: every model of the source is in the table, exact, with the date, and is found again", async () => {
  const report = await importPrices(db);
  expect(report).toMatchObject({ sourceDate: "2026-09-23", rowsRemoved: 0, modelsRenamed: 0 });
  expect(report.models).toBeGreaterThan(1_600);
  expect(report.rowsAdded).toBeGreaterThan(report.models);

  const list = await loadPriceList(db);
  expect(list.problems).toEqual([]);
  const { models } = readPriceSource((await waitForUpdate()) ?? []);
  for (const { provider, model } of models)
    expect(
      resolvePrice(list, { provider, model, customerTypeId: null, currency: "USD", at: new Date() })?.price.model,
    ).toBe(model);

  const { rows } = await db.$client.query(
    "SELECT model, input_price, cached_input_price, output_price, source, source_date::text FROM data.model_price WHERE provider = 'openai' AND model IN ('gpt-4o', 'text-embedding-3-small') ORDER BY model",
  );
  const from = { source: "genai-prices 0.1.8", source_date: "2026-09-23" };
  expect(rows).toEqual([
    {
      ...from,
      model: "gpt-4o",
      input_price: "0.000002500000",
      cached_input_price: "0.000001250000",
      output_price: "0.000010000000",
    },
    {
      ...from,
      model: "text-embedding-3-small",
      input_price: "0.000000020000",
      cached_input_price: null,
      output_price: "0.000000000000",
    },
  ]);
});

it("importing again adds nothing, also from several processes at once", async () => {
  const reports = await Promise.all([importPrices(db), importPrices(db), importPrices(db)]);
  expect(reports.filter(({ rowsAdded }) => rowsAdded > 0)).toHaveLength(1);
  const before = await allRows();
  const again = await importPrices(db);
  expect(again).toMatchObject({ rowsAdded: 0, rowsRemoved: 0, modelsRenamed: 0, providersAdded: 0 });
  expect(await allRows()).toEqual(before);
  // Long after: what began in between is not news.
  const later = await importPrices(db, { now: new Date("2028-01-01T00:00:00Z") });
  expect(later).toMatchObject({ rowsAdded: 0, rowsRemoved: 0 });
});

it("a changed price holds from the import on, and the old one explains older calls", async () => {
  await importPrices(db);
  await db.update(modelPrice).set({ inputPrice: "0.000009" }).where(eq(modelPrice.model, "gpt-4o"));
  await db.update(modelPrice).set({ inputPrice: "0.000009" }).where(eq(modelPrice.model, "deepseek-v4-flash"));
  const now = new Date("2026-10-10T02:00:00Z");
  const report = await importPrices(db, { now });
  // gpt-4o is sold under this name by several providers; deepseek-v4-flash by day and by night.
  expect(report.rowsAdded).toBeGreaterThanOrEqual(4);
  expect(await costAt("gpt-4o", new Date(now.getTime() - 1))).toBe(19_000_000_000n);
  expect(await costAt("gpt-4o", now)).toBe(12_500_000_000n);
  expect(await costAt("deepseek-v4-flash", new Date(now.getTime() - 1))).toBe(10_320_000_000n);
  expect(await costAt("deepseek-v4-flash", now)).toBe(1_760_000_000n);
  expect(await costAt("deepseek-v4-flash", new Date("2026-10-10T04:00:00Z"))).toBe(880_000_000n);
  expect(await importPrices(db, { now: new Date(now.getTime() + 1_000) })).toMatchObject({
    rowsAdded: 0,
    rowsRemoved: 0,
  });
});

it("a price that is to begin later follows the source until it begins", async () => {
  const now = new Date("2026-10-10T00:00:00Z");
  await importPrices(db, { now });
  const begins = sql`model = 'gemini-3.6-flash' AND valid_from = '2027-01-01'`;
  await db
    .update(modelPrice)
    .set({ inputPrice: "5", validFrom: new Date("2026-12-01T00:00:00Z") })
    .where(begins);
  expect(await importPrices(db, { now })).toMatchObject({ rowsAdded: 1, rowsRemoved: 1 });
  expect(await costAt("gemini-3.6-flash", new Date("2026-12-31T23:59:59Z"))).toBe(4_500_000_000n);
  expect(await costAt("gemini-3.6-flash", new Date("2027-01-01T00:00:00Z"))).toBe(9_000_000_000n);
  expect(await importPrices(db, { now })).toMatchObject({ rowsAdded: 0, rowsRemoved: 0 });
});

it("changed aliases are changed in place", async () => {
  await importPrices(db);
  await db
    .update(modelPrice)
    .set({ match: { equals: "gpt-4o" } })
    .where(sql`provider = 'openai' AND model = 'gpt-4o'`);
  expect(await costAt("gpt-4o-2024-08-06", new Date())).toBeUndefined();
  expect(await importPrices(db)).toMatchObject({ rowsAdded: 0, modelsRenamed: 1 });
  expect(await costAt("gpt-4o-2024-08-06", new Date())).toBe(12_500_000_000n);
});

it("an operator's own rows are never touched, and go before the imported ones", async () => {
  const { rows: types } = await db.$client.query("INSERT INTO data.customer_type (name) VALUES ('gold') RETURNING id");
  const gold = String(types[0]?.id);
  const own = { provider: "openai", priceModel: "per_input_output", outputPrice: "0" } as const;
  await db.insert(modelPrice).values([
    { ...own, model: "gpt-4o", inputPrice: "0.000001", customerTypeId: gold },
    // At the very moment at which the import's own begins.
    { ...own, model: "gpt-4o-mini", inputPrice: "0.000007" },
    { ...own, model: "gpt-4o", inputPrice: "0.000008", currency: "EUR" },
  ]);
  const before = await allRows();
  await importPrices(db);
  expect((await allRows()).slice(0, 3)).toEqual(before);
  expect(await costAt("gpt-4o", new Date(), gold)).toBe(1_000_000_000n);
  expect(await costAt("gpt-4o", new Date())).toBe(12_500_000_000n);
  expect(await costAt("gpt-4o-mini", new Date())).toBe(7_000_000_000n);
  const { rows: starts } = await db.$client.query(
    "SELECT model, valid_from FROM data.model_price WHERE provider = 'openai' AND model IN ('gpt-4o', 'gpt-4o-mini') AND source <> 'operator' ORDER BY model",
  );
  expect(starts).toEqual([
    { model: "gpt-4o", valid_from: new Date(0) },
    { model: "gpt-4o-mini", valid_from: new Date(1) },
  ]);
  expect(await importPrices(db)).toMatchObject({ rowsAdded: 0, rowsRemoved: 0 });
  await db.$client.query("DELETE FROM data.model_price WHERE source = 'operator' AND model = 'gpt-4o-mini'");
  expect(await costAt("gpt-4o-mini", new Date())).toBe(750_000_000n);
});

it("providers are added once, and an operator's address stays", async () => {
  await db.$client.query(
    "INSERT INTO data.provider (name, base_url, shape) VALUES ('openai', 'http://127.0.0.1:9', 'openai')",
  );
  expect(await importPrices(db)).toMatchObject({ providersAdded: reachableProviders.length - 1 });
  const { rows } = await db.$client.query("SELECT base_url FROM data.provider WHERE name = 'openai'");
  expect(rows).toEqual([{ base_url: "http://127.0.0.1:9" }]);
});

it("addresses of providers are those that the source knows them by", async () => {
  const providers = (await waitForUpdate()) ?? [];
  for (const { name, baseUrl } of reachableProviders) {
    const known = providers.find(({ id }) => id === name);
    expect(known, name).toBeDefined();
    expect(baseUrl).toMatch(new RegExp(`^(?:${known?.api_pattern})`));
  }
});
