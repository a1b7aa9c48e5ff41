/**
 * How much is set aside for a call, before it is sent. Wanted is the most that it can cost: the prompt counted, and output up to the
 * request's limit, or the model's own. Few answers come near that, so the output is capped by what this key's calls of this model came to
 * before; never below a floor. What exceeds its hold is charged all the same. docs/decisions/0032-size-of-a-hold.md
 */
import { type Bound, boundInput, DEFAULT_MAX_OUTPUT_TOKENS, mostCost } from "@drawdown/billing";
import * as knownModels from "gpt-tokenizer/models";
import { LRUCache } from "lru-cache";
import type { PricedCall } from "./bill.ts";
import { countText, hasTokenizer } from "./count.ts";

export type HoldSize = {
  wantedNanos: bigint;
  /** With less than this available the call is refused: the prompt, and a short answer. */
  leastNanos: bigint;
  /** From what both follow. */
  inputTokens: number;
  wantedOutputTokens: number;
  leastOutputTokens: number;
};

/** An answer that short is always provided for, and no cap is lower. */
const floorTokens = 512;
/** Of the answers remembered so many in a hundred fitted; half as much again is set aside. */
const percentile = 0.95;
const headroom = 1.5;
const rememberedAnswers = 64;
const enoughAnswers = 16;
/** A token per byte of such a body is no more than what is added to every prompt anyway. */
const shortBytes = 1_000;
/** An account that can pay so many calls at once does not miss that much of each. */
const plenty = 1_000n;
/** A key and model of 64 answers is 256 bytes of counts. */
const rememberedPairs = 20_000;
const rememberedAccounts = 20_000;

type Answers = { tokens: Uint32Array; count: number };

/** What each key's calls of each model came to, in this process. Lost with it: then the request's own limit holds again. */
export class HoldSizes {
  readonly #seen = new LRUCache<string, Answers>({ max: rememberedPairs });
  readonly #available = new LRUCache<string, bigint>({ max: rememberedAccounts });

  /** A provider's count of one answer's output. */
  learn(virtualKey: string, model: string, outputTokens: number): void {
    const pair = `${virtualKey} ${model}`;
    let answers = this.#seen.get(pair);
    if (answers === undefined) {
      answers = { tokens: new Uint32Array(rememberedAnswers), count: 0 };
      this.#seen.set(pair, answers);
    }
    answers.tokens[answers.count % rememberedAnswers] = Math.min(outputTokens, 2 ** 32 - 1);
    answers.count += 1;
  }

  /** The longest that an answer is expected to be, in tokens; undefined while too few were seen. */
  expected(virtualKey: string, model: string): number | undefined {
    const answers = this.#seen.get(`${virtualKey} ${model}`);
    if (answers === undefined || answers.count < enoughAnswers) return undefined;
    const seen = Math.min(answers.count, rememberedAnswers);
    const usual = largestBut(answers.tokens.subarray(0, seen), seen - Math.ceil(seen * percentile));
    return Math.max(floorTokens, Math.ceil(usual * headroom));
  }

  /** What the account had available when something was last set aside for it. */
  saw(accountId: string, availableNanos: bigint): void {
    this.#available.set(accountId, availableNanos);
  }

  /**
   * For a short body of an account that can pay many of its kind: the most that the call can cost with a token per byte of its prompt,
   * which takes no counting. Undefined where that would set more aside than is sure to be missed by nobody, or is the size already.
   */
  fromAbove(call: PricedCall): bigint | undefined {
    const { body, caller, resolved, model } = call;
    const available = this.#available.get(caller.account.id);
    if (available === undefined || body.bytes.length > shortBytes || caller.limits.spendLimit !== null)
      return undefined;
    if (!hasTokenizer(resolved.provider, model)) return undefined;
    const { wantedNanos } = this.#sizeOf(call, boundInput(body.json));
    return available >= plenty * wantedNanos ? wantedNanos : undefined;
  }

  async size(call: PricedCall): Promise<HoldSize> {
    return this.#sizeOf(call, await countInput(call));
  }

  #sizeOf({ surface, caller, body, resolved, model }: PricedCall, input: Omit<Bound, "outputTokens">): HoldSize {
    const answers = surface.answers(body.json);
    const limit = limitOf(surface.outputLimit(body.json), model);
    const cap = this.expected(caller.virtualKey, model) ?? limit;
    const [wantedOutputTokens, leastOutputTokens] = [
      answers * Math.min(limit, cap),
      answers * Math.min(limit, floorTokens),
    ];
    const cost = (outputTokens: number) => mostCost(resolved.price, { ...input, outputTokens });
    const wantedNanos = cost(wantedOutputTokens);
    return {
      wantedNanos,
      leastNanos: leastOutputTokens === wantedOutputTokens ? wantedNanos : cost(leastOutputTokens),
      inputTokens: input.inputTokens,
      wantedOutputTokens,
      leastOutputTokens,
    };
  }
}

/** The largest when so many larger ones are left out. Each call asks: it is found without sorting all. */
function largestBut(tokens: Uint32Array, leftOut: number): number {
  const largest = new Uint32Array(leftOut + 1);
  for (const count of tokens) {
    let at = leftOut;
    if (count <= (largest[at] ?? 0)) continue;
    for (; at > 0 && count > (largest[at - 1] ?? 0); at -= 1) largest[at] = largest[at - 1] ?? 0;
    largest[at] = count;
  }
  return largest[leftOut] ?? 0;
}

/** By the model's tokenizer where there is one, else from above: a token per byte. Pictures and sound by their upper estimate in both. */
async function countInput(call: PricedCall): Promise<Omit<Bound, "outputTokens">> {
  const { body, resolved, model } = call;
  if (!hasTokenizer(resolved.provider, model)) return boundInput(body.json);
  const texts: string[] = [];
  const besideText = boundInput(body.json, (text) => {
    texts.push(text);
    return 0;
  });
  return { ...besideText, inputTokens: besideText.inputTokens + (await countText(texts.join("\n"), 1)) };
}

const limits = new Map(
  Object.entries(knownModels).map(([name, known]) => [
    name,
    "max_output_tokens" in known ? known.max_output_tokens : undefined,
  ]),
);

/** The most that one answer can have: as the request says and as the model can, where that is known: OpenAI's models. */
function limitOf(asked: number | undefined, model: string): number {
  const own = limits.get(model) || undefined;
  return Math.min(asked ?? own ?? DEFAULT_MAX_OUTPUT_TOKENS, own ?? Number.POSITIVE_INFINITY);
}
