/** `drawdown prices` and `drawdown providers`: what calls cost and where they are sent. A provider's key is never given here. */
import {
  listPriceRows,
  listProviders,
  type PriceToSet,
  removePrice,
  removeProvider,
  type StoredPrice,
  type StoredProvider,
  setPrice,
  setProvider,
} from "@drawdown/billing";
import { Problem } from "../problem.ts";
import { withDatabase } from "../stores.ts";
import { type ActOptions, actOf, beforeWords } from "./act.ts";
import { print, printJson, printTable } from "./output.ts";

export async function listPricesCommand(options: {
  json: boolean;
  provider?: string;
  model?: string;
  limit: number;
  after?: string;
}): Promise<void> {
  const { json, limit, provider, model, after } = options;
  if (after !== undefined && !/^\d{1,18}$/.test(after)) throw new Problem(`--after takes a price's id, not ${after}.`);
  await withDatabase(async (db) => {
    const filters = { ...(provider === undefined ? {} : { provider }), ...(model === undefined ? {} : { model }) };
    const rows = await listPriceRows({ db }, filters, { limit, ...(after === undefined ? {} : { after }) });
    const next = rows.length === limit ? (rows.at(-1)?.id ?? null) : null;
    if (json) return printJson({ next, prices: rows.map(priceJson) });
    if (rows.length === 0) return print("There are no prices.");
    printTable([["id", "provider", "model", "since", "currency", "prices", "source"], ...rows.map(priceRow)]);
    if (next !== null) print(`… the next page: --after ${next}`);
  });
}

export type SetPriceOptions = ActOptions & {
  priceModel?: PriceToSet["priceModel"];
  customerType?: string;
  currency?: string;
  token?: string;
  input?: string;
  cachedInput?: string;
  cacheWrite?: string;
  cacheWrite1h?: string;
  output?: string;
  request?: string;
  details?: PriceToSet["detailPrices"];
  tiers?: PriceToSet["tiers"];
  match?: PriceToSet["match"];
  from?: Date;
  window?: { start: string; end: string };
};

export async function setPriceCommand(provider: string, model: string, options: SetPriceOptions): Promise<void> {
  const act = actOf(options);
  const { token, request } = options;
  const guess = token !== undefined ? "per_token" : request !== undefined ? "per_request" : "per_input_output";
  const given = {
    customerTypeId: options.customerType,
    currency: options.currency,
    tokenPrice: token,
    inputPrice: options.input,
    cachedInputPrice: options.cachedInput,
    cacheWritePrice: options.cacheWrite,
    cacheWrite1hPrice: options.cacheWrite1h,
    outputPrice: options.output,
    requestPrice: request,
    detailPrices: options.details,
    tiers: options.tiers,
    match: options.match,
    validFrom: options.from,
    window: options.window,
  };
  const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  await withDatabase(async (db) => {
    const price = { provider, model, priceModel: options.priceModel ?? guess, ...known } as PriceToSet;
    const outcome = await setPrice({ db }, price, act);
    if (outcome.outcome === "refused") throw new Problem(outcome.message);
    if (options.json) return printJson({ operation_id: outcome.operationId, ...priceJson(outcome.price) });
    print(`${provider}/${model} costs ${amounts(outcome.price)} from ${outcome.price.validFrom.toISOString()} on.`);
  });
}

export async function removePriceCommand(id: string, options: ActOptions): Promise<void> {
  const act = actOf(options);
  await withDatabase(async (db) => {
    const outcome = await removePrice({ db }, id, act);
    if (outcome.outcome === "unknown_price") throw new Problem(`There is no price ${id}.`);
    if (options.json) return printJson({ operation_id: outcome.operationId, ...priceJson(outcome.price) });
    print(`Removed. The next older price of ${outcome.price.provider}/${outcome.price.model} holds, if there is one.`);
  });
}

export async function listProvidersCommand({ json }: { json: boolean }): Promise<void> {
  await withDatabase(async (db) => {
    const providers = await listProviders({ db });
    if (json) return printJson({ providers: providers.map(providerJson) });
    if (providers.length === 0) return print("There are no providers.");
    const row = ({ name, shape, baseUrl, apiKeyEnv }: StoredProvider) => [name, shape, baseUrl, apiKeyEnv ?? "-"];
    printTable([["name", "shape", "address", "key in"], ...providers.map(row)]);
  });
}

export async function setProviderCommand(
  name: string,
  options: ActOptions & { baseUrl: string; shape: StoredProvider["shape"]; apiKeyEnv?: string },
): Promise<void> {
  const act = actOf(options);
  const { baseUrl, shape, apiKeyEnv = null } = options;
  await withDatabase(async (db) => {
    const outcome = await setProvider({ db }, { name, baseUrl, shape, apiKeyEnv }, act);
    if (outcome.outcome === "refused") throw new Problem(outcome.message);
    if (options.json) return printJson({ operation_id: outcome.operationId, ...providerJson(outcome.provider) });
    print(outcome.outcome === "set" ? `${name} is at ${baseUrl}.` : beforeWords[outcome.outcome]);
  });
}

export async function removeProviderCommand(name: string, options: ActOptions): Promise<void> {
  const act = actOf(options);
  await withDatabase(async (db) => {
    const outcome = await removeProvider({ db }, name, act);
    if (outcome.outcome === "unknown_provider") throw new Problem(`There is no provider ${name}.`);
    if (options.json) return printJson({ operation_id: outcome.operationId, ...providerJson(outcome.provider) });
    print("Removed. Calls to it are refused; its prices stay.");
  });
}

function providerJson({ name, baseUrl, shape, apiKeyEnv, createdAt }: StoredProvider) {
  return { name, base_url: baseUrl, shape, api_key_env: apiKeyEnv, created_at: createdAt };
}

function priceJson(price: StoredPrice) {
  return {
    id: price.id,
    provider: price.provider,
    model: price.model,
    customer_type_id: price.customerTypeId,
    currency: price.currency,
    price_model: price.priceModel,
    token_price: price.tokenPrice,
    input_price: price.inputPrice,
    cached_input_price: price.cachedInputPrice,
    cache_write_price: price.cacheWritePrice,
    cache_write_1h_price: price.cacheWrite1hPrice,
    output_price: price.outputPrice,
    request_price: price.requestPrice,
    detail_prices: price.detailPrices,
    tiers: price.tiers,
    match: price.match,
    valid_from: price.validFrom,
    window_start: price.windowStart,
    window_end: price.windowEnd,
    source: price.source,
    source_date: price.sourceDate,
    created_at: price.createdAt,
  };
}

function priceRow(price: StoredPrice): string[] {
  const { id, provider, model, validFrom, currency, source } = price;
  return [id, provider, model, validFrom.toISOString(), currency, amounts(price), source];
}

function amounts({ tokenPrice, inputPrice, outputPrice, requestPrice }: StoredPrice): string {
  const parts = { token: tokenPrice, input: inputPrice, output: outputPrice, request: requestPrice };
  const given = Object.entries(parts).filter(([, price]) => price !== null);
  return given.map(([name, price]) => `${price} a ${name}${name.endsWith("put") ? " token" : ""}`).join(", ");
}
