/**
 * The list prices of `@pydantic/genai-prices`, as rows of `data.model_price`. Its prices are JSON numbers per million tokens: each is taken
 * by its shortest decimal text, never through float arithmetic, and is exact in 12 decimals per token (the few that are endless fractions
 * at their source are rounded half-even there).
 */
import type { DetailPrices, MatchClause, modelPrice, PriceTier } from "@drawdown/db";
import type { ConditionalPrice, ModelInfo, ModelPrice, Provider, TieredPrices } from "@pydantic/genai-prices";
import { compileClause } from "./model-names.ts";
import { formatPrice, scaleFloatText } from "./money.ts";
import { IMPORT_SOURCE } from "./price-list.ts";

/** The package that is installed and the day it was published; a test compares the version. */
export const priceSource = { name: `${IMPORT_SOURCE} 0.1.8`, date: "2026-09-23" };

/** Before any start date of the source: usage from before the import has a price too. */
const beginning = new Date(0);

type Columns =
  | "priceModel"
  | "tokenPrice"
  | "inputPrice"
  | "cachedInputPrice"
  | "cacheWritePrice"
  | "cacheWrite1hPrice"
  | "outputPrice"
  | "requestPrice"
  | "detailPrices"
  | "tiers"
  | "windowStart"
  | "windowEnd";
/** What a row says a call costs, and in which hours. Absent prices are null, so that two terms can be compared as text. */
export type Terms = Pick<typeof modelPrice.$inferSelect, Columns>;

/** From `validFrom` on, `terms` are the model's whole price: at most one without hours, and any number with. */
export type DatedTerms = { validFrom: Date; terms: Terms[] };

export type ListedModel = { provider: string; model: string; match: MatchClause; dated: DatedTerms[] };
export type SkippedModel = { provider: string; model: string; reason: string };

/** Every model that is priced by what is counted here, and why the others are left out. */
export function readPriceSource(providers: readonly Provider[]): { models: ListedModel[]; skipped: SkippedModel[] } {
  const models: ListedModel[] = [];
  const skipped: SkippedModel[] = [];
  const seen = new Set<string>();
  for (const provider of providers)
    for (const info of provider.models) {
      const model = apiName(info);
      const key = JSON.stringify([provider.id.toLowerCase(), model.toLowerCase()]);
      try {
        if (seen.has(key)) throw new Error("the name is taken by another model");
        models.push({ provider: provider.id, model, match: info.match, dated: datedTerms(info) });
        seen.add(key);
      } catch (error) {
        skipped.push({ provider: provider.id, model, reason: error instanceof Error ? error.message : String(error) });
      }
    }
  return { models, skipped };
}

/** The source's ids are not all names that the provider's API knows; then the first exact name is. */
function apiName(info: ModelInfo): string {
  const { names, test } = compileClause(info.match);
  const id = info.id.toLowerCase();
  return names.includes(id) || test?.(id) ? info.id : (names[0] ?? info.id);
}

/**
 * The source lists conditional prices; the last one whose condition is met holds, and the first one if none is. Here each start date
 * begins a price of its own instead, so that no order has to be stored: the hours that still count from then on are repeated in it.
 */
function datedTerms(info: ModelInfo): DatedTerms[] {
  const entries: ConditionalPrice[] = Array.isArray(info.prices) ? info.prices : [{ prices: info.prices }];
  const starts = entries.flatMap(({ constraint }) =>
    constraint?.type === "start_date" ? [new Date(constraint.start_date)] : [],
  );
  const dated: DatedTerms[] = [];
  for (const validFrom of [beginning, ...starts.toSorted((a, b) => a.getTime() - b.getTime())]) {
    const terms = termsAt(info, entries, validFrom);
    const previous = dated.at(-1);
    if (previous && sameTerms(previous.terms, terms)) continue;
    if (previous?.validFrom.getTime() === validFrom.getTime()) continue;
    dated.push({ validFrom, terms });
  }
  return dated;
}

function termsAt(info: ModelInfo, entries: readonly ConditionalPrice[], validFrom: Date): Terms[] {
  const terms: Terms[] = [];
  for (const { constraint, prices } of entries.toReversed()) {
    if (constraint?.type === "time_of_date") {
      const window = { windowStart: timeInUtc(constraint.start_time), windowEnd: timeInUtc(constraint.end_time) };
      if (terms.some((other) => overlap(other, window))) throw new Error("its hours overlap");
      if (window.windowStart !== window.windowEnd) terms.push({ ...readTerms(info, prices), ...window });
    } else if (constraint === undefined || new Date(constraint.start_date) <= validFrom) {
      return [...terms, readTerms(info, prices)];
    }
  }
  const first = entries[0];
  if (!first) throw new Error("it has no price");
  return [...terms, readTerms(info, first.prices)];
}

const detailOf: Readonly<Record<string, keyof DetailPrices>> = {
  input_audio_mtok: "input_audio_price",
  cache_audio_read_mtok: "cached_input_audio_price",
  output_audio_mtok: "output_audio_price",
  input_image_mtok: "input_image_price",
  cache_image_read_mtok: "cached_input_image_price",
  output_image_mtok: "output_image_price",
  output_reasoning_mtok: "output_reasoning_price",
};

type TierPriceKey = Exclude<keyof PriceTier, "above_input_tokens">;
const tieredOf: Readonly<Record<string, TierPriceKey>> = {
  input_mtok: "input_price",
  cache_read_mtok: "cached_input_price",
  cache_write_mtok: "cache_write_price",
  cache_write_1h_mtok: "cache_write_1h_price",
  output_mtok: "output_price",
};

function readTerms(info: ModelInfo, prices: ModelPrice): Terms {
  const base: { [Key in TierPriceKey]?: string } = {};
  const tiers = new Map<number, PriceTier>();
  const detailPrices: DetailPrices = {};
  let requestPrice: string | null = null;
  for (const [unit, price] of Object.entries(prices)) {
    const kind = tieredOf[unit];
    const detail = detailOf[unit];
    if (price === undefined) continue;
    if (kind) {
      base[kind] = perMillion(typeof price === "number" ? price : price.base);
      for (const tier of tiersOf(price))
        tiers.set(tier.start, {
          ...(tiers.get(tier.start) ?? { above_input_tokens: tier.start }),
          [kind]: perMillion(tier.price),
        });
    } else if (typeof price !== "number") {
      if (detail || unit === "requests_kcount") throw new Error(`its ${unit} has tiers`);
    } else if (detail) detailPrices[detail] = perMillion(price);
    else if (unit === "requests_kcount") requestPrice = formatPrice(scaleFloatText(String(price), 9));
    // Searches, pages, hours and characters are not counted here: see docs/decisions/0022-list-prices.md.
  }
  if (base.input_price === undefined && base.output_price === undefined)
    return { ...noTerms, ...termsWithoutTokens(info, prices, requestPrice) };
  return {
    ...noTerms,
    priceModel: "per_input_output",
    inputPrice: base.input_price ?? formatPrice(0n),
    cachedInputPrice: base.cached_input_price ?? null,
    cacheWritePrice: base.cache_write_price ?? null,
    cacheWrite1hPrice: base.cache_write_1h_price ?? null,
    outputPrice: base.output_price ?? formatPrice(0n),
    requestPrice,
    detailPrices: Object.keys(detailPrices).length > 0 ? detailPrices : null,
    tiers: tiers.size > 0 ? [...tiers.values()].toSorted((a, b) => a.above_input_tokens - b.above_input_tokens) : null,
  };
}

const noTerms: Terms = {
  priceModel: "per_token",
  tokenPrice: null,
  inputPrice: null,
  cachedInputPrice: null,
  cacheWritePrice: null,
  cacheWrite1hPrice: null,
  outputPrice: null,
  requestPrice: null,
  detailPrices: null,
  tiers: null,
  windowStart: null,
  windowEnd: null,
};

/** An empty price is zero only where the source says that the model is free; elsewhere it may as well mean "not known". */
function termsWithoutTokens(info: ModelInfo, prices: ModelPrice, requestPrice: string | null): Partial<Terms> {
  if (requestPrice !== null) return { priceModel: "per_request", requestPrice };
  const units = Object.keys(prices);
  if (units.length > 0) throw new Error(`it is priced by ${units.join(" and ")}, which are not counted here`);
  const free = info.id.endsWith(":free") || /\bfree of charge\b/i.test(info.description ?? "");
  if (!free) throw new Error("its price is empty and it is not said to be free");
  return { priceModel: "per_token", tokenPrice: formatPrice(0n) };
}

/** Units per million tokens are picos per token when multiplied by 10⁶. */
function perMillion(price: number): string {
  return formatPrice(scaleFloatText(String(price), 6));
}

function tiersOf(price: number | TieredPrices): TieredPrices["tiers"] {
  return typeof price === "number" ? [] : price.tiers;
}

/** `16:30:00Z`, `18:30:00+02:00` → `16:30:00`. */
function timeInUtc(time: string): string {
  const moment = new Date(`2000-01-02T${time}`);
  if (Number.isNaN(moment.getTime())) throw new Error(`its hours are not understood: ${time}`);
  return moment.toISOString().slice(11, 19);
}

type Hours = Pick<Terms, "windowStart" | "windowEnd">;

function overlap(a: Hours, b: Hours): boolean {
  return holdsAt(a, b.windowStart ?? "") || holdsAt(b, a.windowStart ?? "");
}

function holdsAt({ windowStart, windowEnd }: Hours, time: string): boolean {
  const [start, end] = [windowStart ?? "", windowEnd ?? ""];
  return start < end ? time >= start && time < end : time >= start || time < end;
}

/** Whether two prices say the same, whatever the order of their rows. Rows of the table may be given too. */
export function sameTerms(a: readonly Terms[], b: readonly Terms[]): boolean {
  const text = (all: readonly Terms[]): string =>
    canonicalText(all.map((one) => canonicalText(termsOf(one))).toSorted());
  return text(a) === text(b);
}

function termsOf(row: Terms): unknown[] {
  return (Object.keys(noTerms) as Columns[]).map((column) => row[column]);
}

/** JSON in which the order of keys says nothing: jsonb has an order of its own. */
export function canonicalText(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
