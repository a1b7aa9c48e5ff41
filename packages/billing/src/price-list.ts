/**
 * Which price a call has. The rows of `data.model_price` become an index in memory, built once and again when `model_price_updated` says so.
 *
 * Of one model, a customer type's own row goes before the operator's list row, and that before an imported one. In each of these, the rows
 * with the same `valid_from` are one price: from that moment on they replace all older ones, and a row with hours holds in its hours before
 * the row without. A row in another currency than the account's is no price.
 */
import { type Db, modelPrice } from "@drawdown/db";
import { type CompiledClause, compileClause, makersOf, nameVariants, pricedAsMaker } from "./model-names.ts";
import { parsePrice } from "./money.ts";
import { postgresFailure } from "./postgres.ts";
import type { Price, RateKind, Rates } from "./price.ts";

/** A row of `data.model_price` as it is read: prices are decimal strings, times of day `HH:MM:SS` in UTC. */
export type PriceRow = Omit<typeof modelPrice.$inferSelect, "sourceDate" | "createdAt">;

const detailKinds = [
  "input_audio",
  "cached_input_audio",
  "output_audio",
  "input_image",
  "cached_input_image",
  "output_image",
  "output_reasoning",
] as const satisfies readonly RateKind[];

/** Where rows of the price import say they come from: its name, then its version. All other rows are the operator's own. */
export const IMPORT_SOURCE = "genai-prices";

export function isImported(source: string): boolean {
  return source === IMPORT_SOURCE || source.startsWith(`${IMPORT_SOURCE} `);
}

type Holding = { price: Price; imported: boolean; hours: { startMs: number; endMs: number } | undefined };
type ProviderPrices = {
  /** By model name in lower case; newest first. */
  models: Map<string, Holding[]>;
  aliases: Map<string, string>;
  patterns: { model: string; test: (name: string) => boolean }[];
};

export type PriceList = {
  providers: ReadonlyMap<string, ProviderPrices>;
  /** When a row begins to hold, ascending; and the times of day, in ms, at which rows with hours begin and end. */
  begins: readonly number[];
  timesOfDayMs: readonly number[];
  /** Rows that cannot be read. They are no price; to be logged by whoever loads the list. */
  problems: { id: bigint; message: string }[];
};

export type PriceQuery = {
  /** Absent: the model's name says it, as `provider/model`, or else its maker is meant. */
  provider?: string;
  model: string;
  customerTypeId: string | null;
  /** The account's. */
  currency: string;
  /** When the call was made. */
  at: Date;
};

/** `provider` is the one that was asked for, or the maker; `price.provider` is whose price it is (a host may sell at the maker's). */
export type ResolvedPrice = { provider: string; price: Price };

export function buildPriceList(rows: readonly PriceRow[]): PriceList {
  const providers = new Map<string, ProviderPrices>();
  const problems: PriceList["problems"] = [];
  for (const row of rows) {
    try {
      addRow(providers, row);
    } catch (error) {
      problems.push({ id: row.id, message: error instanceof Error ? error.message : String(error) });
    }
  }
  for (const { models, patterns } of providers.values()) {
    patterns.sort((a, b) => (a.model < b.model ? -1 : 1));
    for (const holdings of models.values()) holdings.sort(newestFirst);
  }
  const holdings = [...providers.values()].flatMap(({ models }) => [...models.values()].flat());
  const begins = new Set(holdings.map(({ price }) => price.validFrom.getTime()));
  const timesOfDayMs = new Set(holdings.flatMap(({ hours }) => (hours ? [hours.startMs, hours.endMs] : [])));
  return { providers, begins: [...begins].toSorted((a, b) => a - b), timesOfDayMs: [...timesOfDayMs], problems };
}

/** Until when every price is what it is at this moment, as ms since 1970: what was resolved then holds before it. */
export function pricesHoldUntilMs({ begins, timesOfDayMs }: PriceList, at: Date): number {
  const atMs = at.getTime();
  const todayMs = atMs - (atMs % DAY_MS);
  const next = timesOfDayMs.map((timeMs) => todayMs + timeMs + (todayMs + timeMs > atMs ? 0 : DAY_MS));
  return Math.min(begins.find((ms) => ms > atMs) ?? Number.POSITIVE_INFINITY, ...next);
}

/** Throws `postgres_unavailable`. */
export async function loadPriceList(db: Db): Promise<PriceList> {
  try {
    return buildPriceList(await db.select().from(modelPrice));
  } catch (error) {
    throw postgresFailure(error);
  }
}

/** The price of one call, or undefined when there is none: a call without a price is never free. */
export function resolvePrice(list: PriceList, query: PriceQuery): ResolvedPrice | undefined {
  if (query.provider !== undefined) return resolveAt(list, query.provider.trim().toLowerCase(), query.model, query);
  const slash = query.model.indexOf("/");
  if (slash > 0) {
    const named = query.model.slice(0, slash).trim().toLowerCase();
    const found = resolveAt(list, named, query.model.slice(slash + 1), query);
    if (found) return found;
  }
  const name = query.model.trim().toLowerCase();
  for (const maker of makersOf(name)) {
    const found = resolveAt(list, maker, name, query);
    if (found) return found;
  }
  // A name that no known maker uses: the operator's own model, when only one provider of his has it.
  const own = [...list.providers].filter(([, { models }]) => models.get(name)?.some(({ imported }) => !imported));
  return own.length === 1 && own[0] ? resolveAt(list, own[0][0], name, query) : undefined;
}

/** Every model with a price for this customer type, currency and moment, by provider and name. */
export function listPrices(list: PriceList, query: Omit<PriceQuery, "provider" | "model">): ResolvedPrice[] {
  const resolved: ResolvedPrice[] = [];
  for (const [provider, { models }] of list.providers)
    for (const model of models.keys()) {
      const found = resolveAt(list, provider, model, query);
      if (found) resolved.push(found);
    }
  return resolved.toSorted((a, b) => compare(a.provider, b.provider) || compare(a.price.model, b.price.model));
}

function resolveAt(
  list: PriceList,
  provider: string,
  model: string,
  query: Omit<PriceQuery, "provider" | "model">,
): ResolvedPrice | undefined {
  for (const seller of [provider, ...(pricedAsMaker.get(provider) ?? [])]) {
    const price = findPrice(list.providers.get(seller), model, query);
    if (price) return { provider, price };
  }
  const prefix = `${provider}/`;
  return model.toLowerCase().startsWith(prefix)
    ? resolveAt(list, provider, model.slice(prefix.length), query)
    : undefined;
}

function findPrice(
  prices: ProviderPrices | undefined,
  model: string,
  query: Omit<PriceQuery, "provider" | "model">,
): Price | undefined {
  if (!prices || model.length > 512) return undefined;
  const models = new Set<string>();
  for (const name of nameVariants(model)) {
    if (prices.models.has(name)) models.add(name);
    const alias = prices.aliases.get(name);
    if (alias !== undefined) models.add(alias);
    for (const pattern of prices.patterns) if (pattern.test(name)) models.add(pattern.model);
  }
  const currency = query.currency.toUpperCase();
  const candidates = [...models].map(
    (key) => prices.models.get(key)?.filter(({ price }) => price.currency === currency) ?? [],
  );
  const levels: ((holding: Holding) => boolean)[] = [
    ({ price }) => price.customerTypeId !== null && price.customerTypeId === query.customerTypeId,
    ({ price, imported }) => price.customerTypeId === null && !imported,
    ({ price, imported }) => price.customerTypeId === null && imported,
  ];
  for (const level of levels)
    for (const holdings of candidates) {
      const found = holdings.find((holding) => level(holding) && holds(holding, query.at));
      if (found) return found.price;
    }
  return undefined;
}

function holds({ price, hours }: Holding, at: Date): boolean {
  if (price.validFrom > at) return false;
  if (!hours) return true;
  const timeMs = at.getTime() % DAY_MS;
  return hours.startMs < hours.endMs
    ? timeMs >= hours.startMs && timeMs < hours.endMs
    : timeMs >= hours.startMs || timeMs < hours.endMs;
}

const DAY_MS = 86_400_000;

/** By `validFrom`, newest first; of the same moment, rows with hours before the row without. */
function newestFirst(a: Holding, b: Holding): number {
  return (
    b.price.validFrom.getTime() - a.price.validFrom.getTime() ||
    Number(a.hours === undefined) - Number(b.hours === undefined) ||
    (b.hours?.startMs ?? 0) - (a.hours?.startMs ?? 0)
  );
}

function addRow(providers: Map<string, ProviderPrices>, row: PriceRow): void {
  const price = readPrice(row);
  const hours =
    row.windowStart && row.windowEnd
      ? { startMs: timeOfDayMs(row.windowStart), endMs: timeOfDayMs(row.windowEnd) }
      : undefined;
  const clause: CompiledClause = row.match ? compileClause(row.match) : { names: [], test: undefined };
  const provider = row.provider.toLowerCase();
  let prices = providers.get(provider);
  if (!prices) providers.set(provider, (prices = { models: new Map(), aliases: new Map(), patterns: [] }));
  const model = row.model.toLowerCase();
  const holdings = prices.models.get(model) ?? [];
  prices.models.set(model, [...holdings, { price, imported: isImported(row.source), hours }]);
  for (const name of clause.names) prices.aliases.set(name, model);
  if (clause.test) prices.patterns.push({ model, test: clause.test });
}

export function readPrice(row: PriceRow): Price {
  const rates: Rates = {
    ...rate("token", row.tokenPrice),
    ...rate("input", row.inputPrice),
    ...rate("cached_input", row.cachedInputPrice),
    ...rate("cache_write", row.cacheWritePrice),
    ...rate("cache_write_1h", row.cacheWrite1hPrice),
    ...rate("output", row.outputPrice),
    ...rate("request", row.requestPrice),
    ...Object.assign({}, ...detailKinds.map((kind) => rate(kind, row.detailPrices?.[`${kind}_price`]))),
  };
  const tiers = (row.tiers ?? []).map((tier) => ({
    aboveInputTokens: tier.above_input_tokens,
    rates: {
      ...rate("input", tier.input_price),
      ...rate("cached_input", tier.cached_input_price),
      ...rate("cache_write", tier.cache_write_price),
      ...rate("cache_write_1h", tier.cache_write_1h_price),
      ...rate("output", tier.output_price),
    },
  }));
  return {
    id: row.id,
    provider: row.provider,
    model: row.model,
    customerTypeId: row.customerTypeId,
    currency: row.currency.toUpperCase(),
    priceModel: row.priceModel,
    rates,
    tiers: tiers.toSorted((a, b) => a.aboveInputTokens - b.aboveInputTokens),
    validFrom: row.validFrom,
    source: row.source,
  };
}

function rate(kind: RateKind, price: string | null | undefined): Rates {
  return price === null || price === undefined ? {} : { [kind]: parsePrice(price) };
}

function timeOfDayMs(time: string): number {
  const [hours = 0, minutes = 0, seconds = 0] = time.split(":").map(Number);
  return Math.round((hours * 3_600 + minutes * 60 + seconds) * 1_000);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
