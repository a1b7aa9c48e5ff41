/**
 * What a call used, read from a provider's answer or a reporter's body. Three dialects name the same counts: OpenAI chat
 * (`prompt_tokens`, cached tokens inside it), OpenAI responses (`input_tokens`, cached inside it) and Anthropic (`input_tokens`
 * WITHOUT cache reads and writes). All become one shape in which `inputTokens` is all input. A count that is absent is never
 * invented: usage without any input count is refused, and no usage at all is `undefined`, not zero.
 */
import { BillingError } from "./errors.ts";

/**
 * Whole numbers from 0 to 2⁵³. `inputTokens` is all input: cache reads, cache writes, audio and images are parts of it.
 * `outputTokens` is all output, reasoning included. The optional parts matter only where a price names them.
 */
export type Usage = {
  inputTokens: number;
  /** Read from the provider's cache. */
  cachedInputTokens: number;
  /** Written to the provider's cache, for any lifetime. */
  cacheWriteTokens: number;
  outputTokens: number;
  reasoningTokens: number;
  /** As the provider says it, else input and output. Recorded, never priced. */
  totalTokens: number;
  /** The part of `cacheWriteTokens` that is kept for an hour (Anthropic). */
  cacheWrite1hTokens?: number;
  inputAudioTokens?: number;
  cachedInputAudioTokens?: number;
  outputAudioTokens?: number;
  inputImageTokens?: number;
  cachedInputImageTokens?: number;
  outputImageTokens?: number;
};

const MAX_TOKENS = 2 ** 53;

type Fields = Readonly<Record<string, unknown>>;
type Counts = Omit<Usage, "totalTokens">;

/**
 * Reads the `usage` object of an answer (not the answer). `undefined` when there is none: null, undefined, or an object that names
 * no token count. Throws `invalid_request` for a count that is not a whole number from 0 to 2⁵³, parts that exceed their whole,
 * and output without input.
 */
export function readUsage(usage: unknown): Usage | undefined {
  const fields = mapping(usage, "usage");
  if (!fields) return undefined;
  const counts = fuller(readChat(fields), readInputOutput(fields));
  if (!counts) return undefined;
  const total = count(fields, "total_tokens");
  // Some providers (xAI) leave reasoning out of completion_tokens; their total gives them away.
  const reasoningIsBeside =
    counts.reasoningTokens > 0 && total === counts.inputTokens + counts.outputTokens + counts.reasoningTokens;
  const outputTokens = counts.outputTokens + (reasoningIsBeside ? counts.reasoningTokens : 0);
  const sum = checkedSum(counts.inputTokens, outputTokens);
  if (counts.cachedInputTokens + counts.cacheWriteTokens > counts.inputTokens)
    throw invalidUsage("usage has more cached tokens than input tokens");
  if ((counts.cacheWrite1hTokens ?? 0) > counts.cacheWriteTokens)
    throw invalidUsage("usage has more one-hour cache writes than cache writes");
  return { ...counts, outputTokens, totalTokens: total ?? sum };
}

/** OpenAI chat completions and embeddings, and the providers that speak like them. */
function readChat(fields: Fields): Counts | undefined {
  const input = count(fields, "prompt_tokens");
  const output = count(fields, "completion_tokens");
  if (input === undefined && output === undefined) return undefined;
  if (input === undefined)
    throw invalidUsage("usage has completion_tokens without prompt_tokens (0 if there were none)");
  const inside = mapping(fields.prompt_tokens_details, "prompt_tokens_details") ?? {};
  const outputParts = mapping(fields.completion_tokens_details, "completion_tokens_details") ?? {};
  const cached = [
    count(inside, "cached_tokens"),
    ...["prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens"].map((name) => count(fields, name)),
  ];
  const writes = readCacheWrites(fields);
  return {
    inputTokens: input,
    cachedInputTokens: cached.find((tokens) => tokens !== undefined) ?? 0,
    cacheWriteTokens: count(inside, "cache_write_tokens") ?? writes.all ?? 0,
    outputTokens: output ?? 0,
    reasoningTokens: count(outputParts, "reasoning_tokens") ?? 0,
    ...present("cacheWrite1hTokens", writes.oneHour),
    ...readModalities(inside, outputParts),
  };
}

/** OpenAI responses and Anthropic messages: the same two names, told apart by Anthropic's cache counts beside them. */
function readInputOutput(fields: Fields): Counts | undefined {
  const input = count(fields, "input_tokens");
  const output = count(fields, "output_tokens");
  if (input === undefined && output === undefined) return undefined;
  // Not refused when the chat names are there too: they say the input.
  if (input === undefined && "prompt_tokens" in fields) return undefined;
  if (input === undefined) throw invalidUsage("usage has output_tokens without input_tokens (0 if there were none)");
  const inside = mapping(fields.input_tokens_details, "input_tokens_details") ?? {};
  const outputParts = mapping(fields.output_tokens_details, "output_tokens_details") ?? {};
  const reads = count(fields, "cache_read_input_tokens");
  const writes = readCacheWrites(fields);
  return {
    inputTokens: checkedSum(input, reads ?? 0, writes.all ?? 0),
    cachedInputTokens: reads ?? count(inside, "cached_tokens") ?? 0,
    cacheWriteTokens: writes.all ?? count(inside, "cache_write_tokens") ?? 0,
    outputTokens: output ?? 0,
    reasoningTokens: count(outputParts, "reasoning_tokens") ?? count(outputParts, "thinking_tokens") ?? 0,
    ...present("cacheWrite1hTokens", writes.oneHour),
    ...readModalities(inside, outputParts),
  };
}

/** Anthropic says all writes in one count and, beside it, how long they are kept. */
function readCacheWrites(fields: Fields): { all: number | undefined; oneHour: number | undefined } {
  const lifetimes = mapping(fields.cache_creation, "cache_creation") ?? {};
  const oneHour = count(lifetimes, "ephemeral_1h_input_tokens");
  const fiveMinutes = count(lifetimes, "ephemeral_5m_input_tokens");
  const both = oneHour === undefined && fiveMinutes === undefined ? undefined : (oneHour ?? 0) + (fiveMinutes ?? 0);
  return { all: count(fields, "cache_creation_input_tokens") ?? both, oneHour };
}

function readModalities(inside: Fields, outputParts: Fields): Partial<Counts> {
  const cachedParts = mapping(inside.cached_tokens_details, "cached_tokens_details") ?? {};
  return {
    ...present("inputAudioTokens", count(inside, "audio_tokens")),
    ...present("inputImageTokens", count(inside, "image_tokens")),
    ...present("cachedInputAudioTokens", count(cachedParts, "audio_tokens")),
    ...present("cachedInputImageTokens", count(cachedParts, "image_tokens")),
    ...present("outputAudioTokens", count(outputParts, "audio_tokens")),
    ...present("outputImageTokens", count(outputParts, "image_tokens")),
  };
}

/** Some gateways send both sets of names and fill only one: an unfilled zero must not beat a count. */
function fuller(chat: Counts | undefined, other: Counts | undefined): Counts | undefined {
  if (!chat || !other) return chat ?? other;
  return other.inputTokens + other.outputTokens > chat.inputTokens + chat.outputTokens ? other : chat;
}

/** `undefined` when absent or null; zero stays zero. */
function count(fields: Fields, name: string): number | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > MAX_TOKENS)
    throw invalidUsage(`${name} is not a whole number from 0 to 2^53`);
  return value;
}

function checkedSum(...counts: number[]): number {
  let sum = 0;
  for (const tokens of counts) {
    // Compared before adding: above 2⁵³ the sum itself would be rounded.
    if (tokens > MAX_TOKENS - sum) throw invalidUsage("usage has more than 2^53 tokens");
    sum += tokens;
  }
  return sum;
}

function mapping(value: unknown, name: string): Fields | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "object" || Array.isArray(value)) throw invalidUsage(`${name} is not an object`);
  return value as Fields;
}

/** A part that was not said is left out, so that "not said" and "zero" stay apart. */
function present<Name extends keyof Usage>(name: Name, tokens: number | undefined): { [N in Name]?: number } {
  return tokens === undefined ? {} : ({ [name]: tokens } as { [N in Name]?: number });
}

function invalidUsage(complaint: string): BillingError {
  return new BillingError("invalid_request", `The ${complaint}.`);
}
