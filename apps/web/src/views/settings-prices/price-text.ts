// A price as it is typed: per million tokens or per token, exactly either way; what is wrong with it; and what it means.
import type { PriceToSet } from "@drawdown/billing";
import { parsePrice } from "@drawdown/billing/money";
import type { DetailPrices, PriceListRow, PriceTier } from "@drawdown/db";

/** Who may have prices of their own. */
export type CustomerTypes = readonly { id: string; name: string }[];

export const PRICE_MODELS = ["per_input_output", "per_token", "per_request"] as const;
export type PriceModel = (typeof PRICE_MODELS)[number];

/** The prices of a row; `requestPrice` is a call's, all others are a token's. */
export const RATES = [
  "tokenPrice",
  "inputPrice",
  "outputPrice",
  "cachedInputPrice",
  "cacheWritePrice",
  "cacheWrite1hPrice",
  "requestPrice",
] as const;
export type Rate = (typeof RATES)[number];

export const TIER_RATES = [
  "input_price",
  "output_price",
  "cached_input_price",
  "cache_write_price",
  "cache_write_1h_price",
] as const;
export type TierRate = (typeof TIER_RATES)[number];

export const DETAIL_RATES = [
  "output_reasoning_price",
  "input_audio_price",
  "cached_input_audio_price",
  "output_audio_price",
  "input_image_price",
  "cached_input_image_price",
  "output_image_price",
] as const;
export type DetailRate = (typeof DETAIL_RATES)[number];

/** Those that a price of this model has, and those that it must have. */
export const ratesOf: Record<PriceModel, { all: readonly Rate[]; needed: readonly Rate[] }> = {
  per_token: { all: ["tokenPrice"], needed: ["tokenPrice"] },
  per_input_output: { all: RATES.filter((rate) => rate !== "tokenPrice"), needed: ["inputPrice", "outputPrice"] },
  per_request: { all: ["requestPrice"], needed: ["requestPrice"] },
};

/** Tokens that a typed price is for. */
export type Unit = "million" | "one";

export type TierText = { id: number; above: string } & Partial<Record<TierRate, string>>;

export type PriceText = {
  provider: string;
  model: string;
  /** A customer type's id; empty: everybody. */
  customer: string;
  currency: string;
  priceModel: PriceModel;
  unit: Unit;
  rates: Partial<Record<Rate, string>>;
  details: Partial<Record<DetailRate, string>>;
  tiers: readonly TierText[];
  /** Other names of the model, one a line; one that ends in * is a beginning. */
  names: string;
  validFrom: Date | null;
  hoursFrom: string;
  hoursTo: string;
};

export const blankPrice: PriceText = {
  provider: "",
  model: "",
  customer: "",
  currency: "USD",
  priceModel: "per_input_output",
  unit: "million",
  rates: {},
  details: {},
  tiers: [],
  names: "",
  validFrom: null,
  hoursFrom: "",
  hoursTo: "",
};

const PLACES = 6;

/** The price of one token as that of a million, to the last digit: `0.000002500000` → `2.500000`. */
export function perMillion(price: string): string {
  const [whole = "0", fraction = ""] = price.split(".");
  const digits = fraction.padEnd(2 * PLACES, "0");
  return `${unpadded(whole + digits.slice(0, PLACES))}.${digits.slice(PLACES)}`;
}

/** The price of a million tokens, of at most 6 decimals, as that of one: `2.5` → `0.0000025`. */
export function perToken(price: string): string {
  const [whole = "0", fraction = ""] = price.split(".");
  const digits = whole.padStart(PLACES + 1, "0");
  return `${unpadded(digits.slice(0, -PLACES))}.${digits.slice(-PLACES)}${fraction}`;
}

function unpadded(whole: string): string {
  return whole.replace(/^0+(?=\d)/, "");
}

/** What was typed as the price of a token or request; undefined where it is none. */
export function priceOf(typed: string, unit: Unit): string | undefined {
  const text = typed.trim();
  if (unit === "million" && !/^\d{1,12}(\.\d{1,6})?$/.test(text)) return undefined;
  const price = unit === "million" ? perToken(text) : text;
  try {
    parsePrice(price);
    return price;
  } catch {
    return undefined;
  }
}

/** A call has no million. */
export function unitOf(rate: Rate, unit: Unit): Unit {
  return rate === "requestPrice" ? "one" : unit;
}

function meaningOfRates<Name extends string>(
  typed: Partial<Record<Name, string>>,
  names: readonly Name[],
  unit: (name: Name) => Unit,
): { [N in Name]?: string } | undefined {
  const read = names
    .filter((name) => (typed[name] ?? "").trim() !== "")
    .map((name) => [name, priceOf(typed[name] ?? "", unit(name))] as const);
  if (read.some(([, price]) => price === undefined)) return undefined;
  return Object.fromEntries(read) as { [N in Name]?: string };
}

function tiersOf(text: PriceText): PriceTier[] | undefined {
  const tiers = text.tiers.map(({ above, ...typed }) => {
    const prices = meaningOfRates<TierRate>(typed, TIER_RATES, () => text.unit);
    if (!/^\d{1,12}$/.test(above.trim()) || prices === undefined || Object.keys(prices).length === 0) return undefined;
    return { above_input_tokens: Number(above.trim()), ...prices };
  });
  return tiers.every((tier) => tier !== undefined) ? tiers : undefined;
}

type Named = { equals: string } | { starts_with: string };

export type TypedPrice = Omit<PriceToSet, "match"> & { match?: { or: Named[] } };

function matchOf(names: string): { or: Named[] } | undefined {
  const clauses = names
    .split("\n")
    .map((name) => name.trim())
    .filter((name) => name !== "")
    .map((name): Named => (name.endsWith("*") ? { starts_with: name.slice(0, -1) } : { equals: name }));
  return clauses.length === 0 ? undefined : { or: clauses };
}

/** The price that was typed; undefined while it is not complete, or has what is no price. */
export function meaningOf(text: PriceText): TypedPrice | undefined {
  const { all, needed } = ratesOf[text.priceModel];
  const rates = meaningOfRates<Rate>(text.rates, all, (rate) => unitOf(rate, text.unit));
  const [provider, model] = [text.provider.trim(), text.model.trim()];
  if (rates === undefined || provider === "" || model === "" || needed.some((rate) => rates[rate] === undefined))
    return undefined;
  if ((text.hoursFrom === "") !== (text.hoursTo === "")) return undefined;
  const parted = text.priceModel === "per_input_output";
  const details: DetailPrices | undefined = meaningOfRates<DetailRate>(text.details, DETAIL_RATES, () => text.unit);
  const tiers = tiersOf(text);
  if (parted && (details === undefined || tiers === undefined)) return undefined;
  const match = matchOf(text.names);
  return {
    ...{ provider, model, priceModel: text.priceModel, currency: text.currency.trim(), ...rates },
    ...(text.customer === "" ? {} : { customerTypeId: text.customer }),
    ...(parted && details && Object.keys(details).length > 0 ? { detailPrices: details } : {}),
    ...(parted && tiers && tiers.length > 0 ? { tiers } : {}),
    ...(match === undefined ? {} : { match }),
    ...(text.validFrom === null ? {} : { validFrom: text.validFrom }),
    ...(text.hoursFrom === "" ? {} : { window: { start: text.hoursFrom, end: text.hoursTo } }),
  };
}

/** A new price that begins as an older one: all but its moment, and the other names, which stay with the older row and lead to the model still. */
export function textOf(row: PriceListRow): PriceText {
  const million = (price: string | null | undefined) => (price == null ? undefined : trimmed(perMillion(price)));
  const given = <Name extends string>(entries: (readonly [Name, string | undefined])[]) =>
    Object.fromEntries(entries.filter(([, price]) => price !== undefined)) as Partial<Record<Name, string>>;
  return {
    ...blankPrice,
    provider: row.provider,
    model: row.model,
    customer: row.customerTypeId ?? "",
    currency: row.currency,
    priceModel: row.priceModel,
    rates: given(
      RATES.map((rate) => [rate, rate === "requestPrice" ? (row[rate] ?? undefined) : million(row[rate])] as const),
    ),
    details: given(DETAIL_RATES.map((rate) => [rate, million(row.detailPrices?.[rate])] as const)),
    tiers: (row.tiers ?? []).map((tier, id) => ({
      id,
      above: String(tier.above_input_tokens),
      ...given(TIER_RATES.map((rate) => [rate, million(tier[rate])] as const)),
    })),
    hoursFrom: row.windowStart?.slice(0, 8) ?? "",
    hoursTo: row.windowEnd?.slice(0, 8) ?? "",
  };
}

function trimmed(price: string): string {
  return price.replace(/\.?0+$/, "") || "0";
}
