import { beforeAll, describe, expect, it } from "vitest";
import {
  buildPriceList,
  listPrices,
  type PriceList,
  type PriceQuery,
  pricesHoldUntilMs,
  resolvePrice,
} from "../src/index.ts";
import { compileClause } from "../src/model-names.ts";
import { listOf, priceRow } from "./price-rows.ts";

const goldType = "00000000-0000-4000-8000-000000000001";
const silverType = "00000000-0000-4000-8000-000000000002";
const at = new Date("2026-10-01T12:00:00Z");
const query = { customerTypeId: null, currency: "USD", at };

/** Provider, price owner and model of what is found, as one text; "none" when there is no price. */
function found(list: PriceList, asked: Partial<PriceQuery> & { model: string }): string {
  const resolved = resolvePrice(list, { ...query, ...asked });
  return resolved ? `${resolved.provider} ${resolved.price.provider}/${resolved.price.model}` : "none";
}

function inputRate(list: PriceList, asked: Partial<PriceQuery> & { model: string }): bigint | undefined {
  return resolvePrice(list, { ...query, ...asked })?.price.rates.input;
}

describe("a model is found by the names that the providers' own APIs use", () => {
  let list: PriceList;
  beforeAll(async () => {
    list = await listOf();
  });

  it.each([
    ["gpt-4o", "openai openai/gpt-4o"],
    ["gpt-4o-2024-08-06", "openai openai/gpt-4o"],
    ["gpt-4o-20241120", "openai openai/gpt-4o"],
    ["gpt-4o-2024-05-13", "openai openai/gpt-4o-2024-05-13"],
    ["GPT-4o-Mini", "openai openai/gpt-4o-mini"],
    ["gpt-6-sol-2027-01-15", "openai openai/gpt-6-sol"],
    ["ft:gpt-4o-mini-2024-07-18:acme::abc", "openai openai/ft:gpt-4o-mini"],
    ["text-embedding-3-small", "openai openai/text-embedding-3-small"],
    ["claude-3-5-sonnet-20241022", "anthropic anthropic/claude-3-5-sonnet"],
    ["claude-opus-4-1-20250805", "anthropic anthropic/claude-opus-4-1"],
    ["gemini-2.5-pro-preview-06-05", "google google/gemini-2.5-pro"],
    ["gemini-2.5-pro-preview-tts", "google google/gemini-2.5-pro-tts"],
    ["mistral-large-latest", "mistral mistral/mistral-large"],
    ["deepseek-reasoner", "deepseek deepseek/deepseek-reasoner"],
    ["openai/gpt-4o", "openai openai/gpt-4o"],
    ["Anthropic/claude-sonnet-4-5", "anthropic anthropic/claude-sonnet-4-5"],
    ["azure/gpt-4o", "azure openai/gpt-4o"],
    ["google/claude-3-5-sonnet@20240620", "google google/claude-3-5-sonnet"],
    ["google/claude-v1", "google anthropic/claude-v1"],
    ["openrouter/openai/gpt-4o", "openrouter openrouter/openai/gpt-4o"],
    ["groq/openai/gpt-oss-120b", "groq groq/openai/gpt-oss-120b"],
    ["gpt-99", "none"],
    ["acme/gpt-4o", "none"],
    ["openai/", "none"],
    ["/gpt-4o", "none"],
    ["", "none"],
    ["constructor", "none"],
    ["__proto__/toString", "none"],
    [`claude-3-5-sonnet-${"x".repeat(600)}`, "none"],
  ])("%s is %s", (model, expected) => {
    expect(found(list, { model })).toBe(expected);
  });

  it("a given provider is the provider, and may stand before the name too", () => {
    expect(found(list, { provider: "openai", model: "gpt-4o" })).toBe("openai openai/gpt-4o");
    expect(found(list, { provider: "OpenAI", model: "openai/gpt-4o" })).toBe("openai openai/gpt-4o");
    expect(found(list, { provider: "anthropic", model: "gpt-4o" })).toBe("none");
    expect(found(list, { provider: "nobody", model: "gpt-4o" })).toBe("none");
  });

  it("every model that is listed is found by its listed name", () => {
    const listed = listPrices(list, query);
    expect(listed.length).toBeGreaterThan(1_600);
    for (const { provider, price } of listed)
      expect(found(list, { provider, model: price.model })).toBe(`${provider} ${price.provider}/${price.model}`);
  });
});

describe("an operator's own price goes before the list", () => {
  const own = { provider: "openai", outputPrice: "0" };
  const gold = { ...own, model: "gpt-4o", customerTypeId: goldType, inputPrice: "0.000001" };

  it("for its customer type alone", async () => {
    const list = await listOf(priceRow(gold));
    expect(inputRate(list, { model: "gpt-4o", customerTypeId: goldType })).toBe(1_000_000n);
    expect(inputRate(list, { model: "gpt-4o", customerTypeId: silverType })).toBe(2_500_000n);
    expect(inputRate(list, { model: "gpt-4o" })).toBe(2_500_000n);
  });

  it("also when it is 0", async () => {
    const list = await listOf(priceRow({ ...gold, inputPrice: "0" }));
    expect(inputRate(list, { model: "gpt-4o", customerTypeId: goldType })).toBe(0n);
  });

  it("for the model's snapshots too, unless the snapshot has a price of its own", async () => {
    const list = await listOf(
      priceRow(gold),
      priceRow({ ...gold, model: "GPT-4o-2024-11-20", inputPrice: "0.0000009" }),
    );
    expect(inputRate(list, { model: "gpt-4o-2024-08-06", customerTypeId: goldType })).toBe(1_000_000n);
    expect(inputRate(list, { model: "gpt-4o-2024-11-20", customerTypeId: goldType })).toBe(900_000n);
    expect(inputRate(list, { model: "gpt-4o-2024-05-13", customerTypeId: goldType })).toBe(5_000_000n);
  });

  it("as a list price of his own it goes before the imported one, and after that of a customer type", async () => {
    const list = await listOf(priceRow({ ...own, model: "gpt-4o", inputPrice: "0.000002" }), priceRow(gold));
    expect(inputRate(list, { model: "gpt-4o" })).toBe(2_000_000n);
    expect(inputRate(list, { model: "gpt-4o", customerTypeId: silverType })).toBe(2_000_000n);
    expect(inputRate(list, { model: "gpt-4o", customerTypeId: goldType })).toBe(1_000_000n);
  });

  it("before it begins, the list price holds", async () => {
    const list = await listOf(priceRow({ ...gold, validFrom: new Date("2026-11-01T00:00:00Z") }));
    expect(inputRate(list, { model: "gpt-4o", customerTypeId: goldType })).toBe(2_500_000n);
    const later = new Date("2026-11-01T00:00:00Z");
    expect(inputRate(list, { model: "gpt-4o", customerTypeId: goldType, at: later })).toBe(1_000_000n);
  });

  it("a model of his own is found by its bare name when one provider has it", () => {
    const mine = priceRow({ provider: "acme", model: "Acme-Chat" });
    expect(found(buildPriceList([mine]), { model: "acme-chat" })).toBe("acme acme/Acme-Chat");
    const other = priceRow({ provider: "zeta", model: "acme-chat" });
    expect(found(buildPriceList([mine, other]), { model: "acme-chat" })).toBe("none");
    const imported = priceRow({ provider: "acme", model: "acme-chat", source: "genai-prices 0.1.8" });
    expect(found(buildPriceList([imported]), { model: "acme-chat" })).toBe("none");
  });
});

describe("a price in another currency than the account's is no price", () => {
  const euro = priceRow({ provider: "openai", model: "gpt-4o", currency: "EUR", inputPrice: "0.000003" });

  it("and the list price holds in its own", async () => {
    const list = await listOf({ ...euro, customerTypeId: goldType });
    expect(inputRate(list, { model: "gpt-4o", customerTypeId: goldType })).toBe(2_500_000n);
    expect(inputRate(list, { model: "gpt-4o", customerTypeId: goldType, currency: "EUR" })).toBe(3_000_000n);
    expect(inputRate(list, { model: "gpt-4o", currency: "EUR" })).toBeUndefined();
    expect(inputRate(list, { model: "gpt-4o-mini", currency: "EUR" })).toBeUndefined();
  });

  it("currencies are compared without case", () => {
    const list = buildPriceList([{ ...euro, currency: "eur" }]);
    expect(inputRate(list, { model: "gpt-4o", currency: "Eur" })).toBe(3_000_000n);
  });
});

describe("a price holds from its date and in its hours", () => {
  const row = { provider: "acme", model: "m" };
  const rateAt = (list: PriceList, moment: string) =>
    inputRate(list, { provider: "acme", model: "m", at: new Date(moment) });

  it("hours are UTC, from their start to before their end, and may go over midnight", () => {
    const list = buildPriceList([
      priceRow({ ...row, inputPrice: "1" }),
      priceRow({ ...row, inputPrice: "2", windowStart: "09:00:00", windowEnd: "17:30:00" }),
      priceRow({ ...row, inputPrice: "3", windowStart: "22:00:00", windowEnd: "06:00:00" }),
    ]);
    const unit = 10n ** 12n;
    for (const [time, rate] of [
      ["08:59:59.999", 1n],
      ["09:00:00", 2n],
      ["17:29:59.999", 2n],
      ["17:30:00", 1n],
      ["21:59:59.999", 1n],
      ["22:00:00", 3n],
      ["23:59:59.999", 3n],
      ["00:00:00", 3n],
      ["05:59:59.999", 3n],
      ["06:00:00", 1n],
    ] as const)
      expect(rateAt(list, `2026-10-01T${time}Z`), time).toBe(rate * unit);
  });

  it("a new date replaces all older rows, also those with hours; hours that it names alone fall back", () => {
    const unit = 10n ** 12n;
    const night = { windowStart: "00:00:00", windowEnd: "06:00:00" };
    const list = buildPriceList([
      priceRow({ ...row, inputPrice: "4", validFrom: new Date("2026-03-01T00:00:00Z"), ...night }),
      priceRow({ ...row, inputPrice: "1" }),
      priceRow({ ...row, inputPrice: "3", validFrom: new Date("2026-02-01T00:00:00Z") }),
      priceRow({ ...row, inputPrice: "2", ...night }),
    ]);
    expect(rateAt(list, "2026-01-15T03:00:00Z")).toBe(2n * unit);
    expect(rateAt(list, "2026-01-31T23:59:59.999Z")).toBe(1n * unit);
    expect(rateAt(list, "2026-02-01T00:00:00Z")).toBe(3n * unit);
    expect(rateAt(list, "2026-02-15T03:00:00Z")).toBe(3n * unit);
    expect(rateAt(list, "2026-03-15T03:00:00Z")).toBe(4n * unit);
    expect(rateAt(list, "2026-03-15T07:00:00Z")).toBe(3n * unit);
  });
});

describe("a row that cannot be read is no price and harms no other", () => {
  it("is told of by its id", () => {
    const bad = priceRow({ provider: "acme", model: "bad", inputPrice: "NaN" });
    const odd = priceRow({ provider: "acme", model: "odd", match: { like: "x" } as never });
    const list = buildPriceList([bad, odd, priceRow({ provider: "acme", model: "good" })]);
    expect(list.problems.map(({ id }) => id)).toEqual([bad.id, odd.id]);
    expect(found(list, { provider: "acme", model: "bad" })).toBe("none");
    expect(found(list, { provider: "acme", model: "good" })).toBe("acme acme/good");
  });

  it.each([[{ equals: 5 }], [{ regex: "(" }], [{}], [{ or: [{}] }], [{ and: "x" }], ["text"]])(
    "%j is no clause",
    (clause) => {
      expect(() => compileClause(clause as never)).toThrow();
    },
  );
});

it("what was resolved holds until a row begins, or its hours begin or end, whichever comes first", () => {
  const until = (list: PriceList, moment: string) => {
    const ms = pricesHoldUntilMs(list, new Date(moment));
    return Number.isFinite(ms) ? new Date(ms).toISOString() : "for ever";
  };
  const row = { provider: "openai", model: "gpt-4o", inputPrice: "1" };
  const dated = ["2026-01-01T00:00:00Z", "2026-10-02T00:00:00.250Z"].map((validFrom) =>
    priceRow({ ...row, validFrom: new Date(validFrom) }),
  );
  expect(until(buildPriceList(dated), "2026-10-01T12:00:00Z")).toBe("2026-10-02T00:00:00.250Z");
  expect(until(buildPriceList(dated), "2026-10-02T00:00:00.250Z")).toBe("for ever");
  const hours = buildPriceList([
    ...dated,
    priceRow({ ...row, validFrom: new Date("2026-01-01"), windowStart: "22:00:00", windowEnd: "06:00:00" }),
  ]);
  expect(until(hours, "2026-10-01T12:00:00Z")).toBe("2026-10-01T22:00:00.000Z");
  expect(until(hours, "2026-10-01T22:00:00Z")).toBe("2026-10-02T00:00:00.250Z");
  expect(until(hours, "2026-10-02T23:59:59.999Z")).toBe("2026-10-03T06:00:00.000Z");
});
