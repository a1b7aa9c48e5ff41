/**
 * The most that a request can cost, known before it is sent: what a gateway wants to be available, and what a hold will set aside. Without the
 * provider's own tokenizer the one bound on text is a token per byte (byte-level tokenizers never need more). English needs a quarter
 * of that, so who cannot pay four times his prompt may be refused early; who cannot pay is not let through.
 *
 * No bound is given for what the request does not show: files by id or address, context that the provider keeps
 * (`previous_response_id`), searches by the provider, and pictures in high detail for gpt-4o-mini (up to 48,000 tokens each).
 */
import { MAX_AMOUNT_NANOS, roundPicosToNanos } from "./money.ts";
import { type Price, type RateKind, ratesAt } from "./price.ts";

/** Above what providers count for one picture of any size. */
const TOKENS_PER_IMAGE = 6_000;
/** Sound of 8 kbit/s in base64 has 1,333 characters a second, for which providers count at most 32 tokens; half of that to be safe. */
const CHARACTERS_PER_AUDIO_TOKEN = 20;
/** What providers put around a prompt themselves; most where tools are offered. */
const TOKENS_ADDED = 1_000;
/** What an answer may have when the request names no limit. */
export const DEFAULT_MAX_OUTPUT_TOKENS = 4_096;

const MAX_TOKENS = 2 ** 53;

export type UpperEstimate = { inputTokens: number; outputTokens: number; costNanos: bigint };

/** What of a request its cost depends on. `media`: pictures or sound go in or come out. */
export type Bound = { inputTokens: number; outputTokens: number; media: boolean; keptForAnHour: boolean };

type Fields = Readonly<Record<string, unknown>>;
type Medium = "text" | "image" | "audio";
type Counted = { tokens: number; media: boolean; keptForAnHour: boolean };
type CountText = (text: string) => number;

const byBytes: CountText = (text) => Buffer.byteLength(text);

/**
 * `body` is a request as parsed from JSON: OpenAI chat, responses or embeddings, Anthropic messages. Its limit on output is read from
 * `max_completion_tokens`, `max_tokens` or `max_output_tokens` (the largest; `defaultMaxOutputTokens` when there is none), the number of
 * answers from `n`. Never throws: what is no sensible number counts as not said. At most 999,999,999.999999999 units.
 */
export function upperEstimate(
  price: Price,
  body: unknown,
  defaultMaxOutputTokens = DEFAULT_MAX_OUTPUT_TOKENS,
): UpperEstimate {
  const fields: Fields = isFields(body) ? body : {};
  const limits = [fields.max_completion_tokens, fields.max_tokens, fields.max_output_tokens].filter(isWholeNumber);
  const answers = isWholeNumber(fields.n) ? Math.max(1, fields.n) : 1;
  const bound = {
    ...boundInput(body),
    outputTokens: (limits.length > 0 ? Math.max(...limits) : defaultMaxOutputTokens) * answers,
  };
  return {
    inputTokens: bound.inputTokens,
    outputTokens: Math.min(MAX_TOKENS, bound.outputTokens),
    costNanos: mostCost(price, bound),
  };
}

/** The most that a request can take in. `countText` counts a piece of text; without it a token per byte. Never throws. */
export function boundInput(body: unknown, countText: CountText = byBytes): Omit<Bound, "outputTokens"> {
  const fields: Fields = isFields(body) ? body : {};
  const counted = countInput(fields, countText);
  const modalities = Array.isArray(fields.modalities) ? fields.modalities : [];
  return {
    inputTokens: Math.min(MAX_TOKENS, counted.tokens),
    media: counted.media || modalities.some((modality) => modality !== "text"),
    keptForAnHour: counted.keptForAnHour,
  };
}

/** The cost of so many tokens, each at the dearest rate that it can have. At most 999,999,999.999999999 units. */
export function mostCost(price: Price, bound: Bound): bigint {
  const nanos = roundPicosToNanos(
    mostPicos(price, {
      ...bound,
      inputTokens: Math.min(MAX_TOKENS, bound.inputTokens),
      outputTokens: Math.min(MAX_TOKENS, bound.outputTokens),
    }),
  );
  return nanos > MAX_AMOUNT_NANOS ? MAX_AMOUNT_NANOS : nanos;
}

/** Every token at the dearest rate that it can have, in the dearest tier that so much input can reach. */
function mostPicos(price: Price, bound: Bound): bigint {
  const reached = [0, ...price.tiers.map((tier) => tier.aboveInputTokens + 1)].filter(
    (tokens) => tokens <= bound.inputTokens,
  );
  const tiers = reached.map((tokens) => ratesAt(price, tokens));
  const dearest = (...kinds: RateKind[]): bigint => {
    let most = 0n;
    for (const rates of tiers)
      for (const kind of kinds) {
        const rate = rates[kind];
        if (rate !== undefined && rate > most) most = rate;
      }
    return most;
  };
  const input = dearest(
    "token",
    "input",
    "cached_input",
    "cache_write",
    ...(bound.keptForAnHour ? (["cache_write_1h"] as const) : []),
    ...(bound.media ? (["input_audio", "cached_input_audio", "input_image", "cached_input_image"] as const) : []),
  );
  const output = dearest(
    "token",
    "output",
    "output_reasoning",
    ...(bound.media ? (["output_audio", "output_image"] as const) : []),
  );
  return BigInt(bound.inputTokens) * input + BigInt(bound.outputTokens) * output + dearest("request");
}

/** Walks with a stack of its own: a body may be nested deeper than the call stack. */
function countInput(body: Fields, countPiece: CountText): Counted {
  const counted: Counted = { tokens: TOKENS_ADDED, media: false, keptForAnHour: false };
  const stack: { value: unknown; medium: Medium }[] = [{ value: body, medium: "text" }];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { value, medium } = next;
    if (typeof value === "string") takeText(counted, value, medium, countPiece);
    else if (Array.isArray(value)) for (const item of value) stack.push({ value: item, medium });
    else if (isFields(value)) {
      const inside = mediumOf(value) ?? medium;
      if (inside !== "text") counted.media = true;
      if (inside === "image" && medium !== "image") counted.tokens += TOKENS_PER_IMAGE;
      if (value.ttl === "1h") counted.keptForAnHour = true;
      for (const [name, field] of Object.entries(value)) {
        counted.tokens += countPiece(name);
        stack.push({ value: field, medium: inside });
      }
    } else counted.tokens += String(value).length;
  }
  return counted;
}

function takeText(counted: Counted, text: string, medium: Medium, countPiece: CountText): void {
  if (medium === "image") return;
  if (medium === "audio") counted.tokens += Math.ceil(text.length / CHARACTERS_PER_AUDIO_TOKEN);
  else if (text.startsWith("data:image/")) counted.tokens += TOKENS_PER_IMAGE;
  else counted.tokens += countPiece(text);
}

/** A part of a message that is a picture or sound, in any of the three dialects. */
function mediumOf(part: Fields): Medium | undefined {
  if (part.type === "image_url" || part.type === "input_image" || part.type === "image") return "image";
  return part.type === "input_audio" ? "audio" : undefined;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isWholeNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}
