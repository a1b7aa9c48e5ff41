/**
 * What a call costs. A price is a set of rates in picos (10⁻¹² of a unit) per token; a cost is the exact sum of tokens × rate, rounded
 * half-even to a nano once, at the end. A rate of 0 is a rate. A tier holds for the whole call, not only for the tokens above its bound.
 */
import { BillingError } from "./errors.ts";
import { formatPrice, formatUnits, MAX_AMOUNT_NANOS, roundPicosToNanos } from "./money.ts";
import type { Usage } from "./usage.ts";

export type PriceModel = "per_token" | "per_input_output" | "per_request";

/** What has a rate of its own. `token` is the one rate of a per-token price; the rest have a rate only where a price says so. */
export type RateKind =
  | "token"
  | "input"
  | "cached_input"
  | "cache_write"
  | "cache_write_1h"
  | "output"
  | "output_reasoning"
  | "request"
  | "input_audio"
  | "cached_input_audio"
  | "output_audio"
  | "input_image"
  | "cached_input_image"
  | "output_image";

/** Picos per token (per call for `request`). An absent kind costs what its whole costs: cached input as input, and so on. */
export type Rates = { readonly [Kind in RateKind]?: bigint };

/** One price, as it holds at one moment. */
export type Price = {
  /** `data.model_price.id`. */
  id: bigint;
  provider: string;
  model: string;
  /** Null: the list price. */
  customerTypeId: string | null;
  currency: string;
  priceModel: PriceModel;
  rates: Rates;
  /** Ascending. For a call with more input tokens than the bound, these rates replace the price's own. */
  tiers: readonly { aboveInputTokens: number; rates: Rates }[];
  validFrom: Date;
  source: string;
};

/** Why a call costs what it costs, in JSON's own types: amounts and prices are decimal strings. */
export type Explanation = {
  price_id: string;
  provider: string;
  model: string;
  customer_type_id: string | null;
  currency: string;
  price_model: PriceModel;
  valid_from: string;
  source: string;
  /** The tier that held, by its bound. */
  above_input_tokens?: number;
  /** Unrounded (12 decimals); they add up to the cost before its one rounding. */
  lines: { kind: RateKind; quantity: number; price: string; amount: string }[];
};

export type Cost = { costNanos: bigint; explanation: Explanation };

type Line = { kind: RateKind; quantity: number; rate: bigint };

/**
 * The exact cost of `usage`. Throws `invalid_request` when parts of the usage exceed their whole, `invalid_amount` when the cost is above
 * 999,999,999.999999999 units.
 */
export function costOf(price: Price, usage: Usage): Cost {
  const tier = price.tiers.findLast(({ aboveInputTokens }) => usage.inputTokens > aboveInputTokens);
  const rates = ratesAt(price, usage.inputTokens);
  const lines = linesOf(price.priceModel, rates, usage).filter(({ quantity }) => quantity > 0);
  const picos = lines.reduce((sum, { quantity, rate }) => sum + BigInt(quantity) * rate, 0n);
  const costNanos = roundPicosToNanos(picos);
  if (costNanos > MAX_AMOUNT_NANOS)
    throw new BillingError("invalid_amount", `The cost ${formatUnits(costNanos)} is above 999,999,999.999999999.`);
  const explanation: Explanation = {
    price_id: price.id.toString(),
    provider: price.provider,
    model: price.model,
    customer_type_id: price.customerTypeId,
    currency: price.currency,
    price_model: price.priceModel,
    valid_from: price.validFrom.toISOString(),
    source: price.source,
    ...(tier ? { above_input_tokens: tier.aboveInputTokens } : {}),
    lines: lines.map(({ kind, quantity, rate }) => ({
      kind,
      quantity,
      price: formatPrice(rate),
      amount: formatPrice(BigInt(quantity) * rate),
    })),
  };
  return { costNanos, explanation };
}

/** The rates that hold for a call with so much input: each tier below it replaces the rates that it names. */
export function ratesAt(price: Price, inputTokens: number): Rates {
  const tiers = price.tiers.filter(({ aboveInputTokens }) => inputTokens > aboveInputTokens);
  return Object.assign({}, price.rates, ...tiers.map(({ rates }) => rates)) as Rates;
}

function linesOf(priceModel: PriceModel, rates: Rates, usage: Usage): Line[] {
  for (const tokens of Object.values(usage))
    if (!isTokenCount(tokens)) throw invalidUsage("a count is not a whole number");
  if (!isTokenCount(usage.inputTokens + usage.outputTokens)) throw invalidUsage("there are more than 2^53 tokens");
  const request: Line = { kind: "request", quantity: 1, rate: rates.request ?? 0n };
  switch (priceModel) {
    case "per_request":
      return [request];
    case "per_token":
      return [{ kind: "token", quantity: usage.inputTokens + usage.outputTokens, rate: rates.token ?? 0n }];
    case "per_input_output":
      return [...inputLines(rates, usage), ...outputLines(rates, usage), ...(rates.request ? [request] : [])];
  }
}

/** Input falls apart into cache writes, cache reads and the rest, and each of the last two into text, audio and images. */
function inputLines(rates: Rates, usage: Usage): Line[] {
  const input = rates.input ?? 0n;
  const cachedInput = rates.cached_input ?? input;
  const cacheWrite = rates.cache_write ?? input;
  const written = usage.cacheWriteTokens;
  const writtenForAnHour = usage.cacheWrite1hTokens ?? 0;
  if (writtenForAnHour > written) throw invalidUsage("more is written to the cache for an hour than at all");
  const [audio, image] = inputModalities(rates, usage);
  return [
    { kind: "cache_write_1h", quantity: writtenForAnHour, rate: rates.cache_write_1h ?? cacheWrite },
    { kind: "cache_write", quantity: written - writtenForAnHour, rate: cacheWrite },
    {
      kind: "cached_input_audio",
      quantity: audio.cached,
      rate: rates.cached_input_audio ?? rates.cached_input ?? rates.input_audio ?? input,
    },
    {
      kind: "cached_input_image",
      quantity: image.cached,
      rate: rates.cached_input_image ?? rates.cached_input ?? rates.input_image ?? input,
    },
    { kind: "cached_input", quantity: usage.cachedInputTokens - audio.cached - image.cached, rate: cachedInput },
    { kind: "input_audio", quantity: audio.fresh, rate: rates.input_audio ?? input },
    { kind: "input_image", quantity: image.fresh, rate: rates.input_image ?? input },
    {
      kind: "input",
      quantity: usage.inputTokens - usage.cachedInputTokens - written - audio.fresh - image.fresh,
      rate: input,
    },
  ];
}

type Modality = { cached: number; fresh: number };

/**
 * Audio and image tokens that have a rate of their own. Providers rarely say how many of them were cached: as few as the other counts
 * allow are taken to be, so that the parts add up.
 */
function inputModalities(rates: Rates, usage: Usage): [audio: Modality, image: Modality] {
  const audio = modality(
    rates.input_audio,
    rates.cached_input_audio,
    usage.inputAudioTokens,
    usage.cachedInputAudioTokens,
  );
  const image = modality(
    rates.input_image,
    rates.cached_input_image,
    usage.inputImageTokens,
    usage.cachedInputImageTokens,
  );
  let cachedText = usage.cachedInputTokens - audio.cached - image.cached;
  let excess = audio.fresh + image.fresh + usage.cachedInputTokens + usage.cacheWriteTokens - usage.inputTokens;
  for (const part of [audio, image]) {
    const moved = Math.max(0, Math.min(excess, part.fresh, cachedText));
    part.cached += moved;
    part.fresh -= moved;
    cachedText -= moved;
    excess -= moved;
  }
  if (cachedText < 0 || excess > 0) throw invalidUsage("cached, audio and image tokens exceed the input");
  return [audio, image];
}

function modality(rate: bigint | undefined, cachedRate: bigint | undefined, all = 0, cached = 0): Modality {
  if (cached > all) throw invalidUsage("more tokens of a kind are cached than there are");
  // Without a rate of its own a kind is not told apart.
  return rate === undefined && cachedRate === undefined ? { cached: 0, fresh: 0 } : { cached, fresh: all - cached };
}

function outputLines(rates: Rates, usage: Usage): Line[] {
  const output = rates.output ?? 0n;
  const parts: Line[] = [];
  if (rates.output_reasoning !== undefined)
    parts.push({ kind: "output_reasoning", quantity: usage.reasoningTokens, rate: rates.output_reasoning });
  if (rates.output_audio !== undefined)
    parts.push({ kind: "output_audio", quantity: usage.outputAudioTokens ?? 0, rate: rates.output_audio });
  if (rates.output_image !== undefined)
    parts.push({ kind: "output_image", quantity: usage.outputImageTokens ?? 0, rate: rates.output_image });
  const rest = parts.reduce((tokens, { quantity }) => tokens - quantity, usage.outputTokens);
  if (rest < 0) throw invalidUsage("parts of the output exceed it");
  return [...parts, { kind: "output", quantity: rest, rate: output }];
}

function isTokenCount(tokens: number): boolean {
  return Number.isInteger(tokens) && tokens >= 0 && tokens <= 2 ** 53;
}

function invalidUsage(complaint: string): BillingError {
  return new BillingError("invalid_request", `The usage does not add up: ${complaint}.`);
}
