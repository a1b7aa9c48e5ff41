/**
 * How much is set aside for a call, before it is sent. Wanted is the most that it can cost: the prompt counted, and output up to the
 * request's limit, or the model's own. Few answers come near that, so the output is capped by what this key's calls of this model came to
 * before; never below a floor. What exceeds its hold is charged all the same. docs/decisions/0032-size-of-a-hold.md
 */
import { type Bound, boundInput, DEFAULT_MAX_OUTPUT_TOKENS, mostCost, type Price } from "@drawdown/billing";
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
/** A key and model of 64 answers is 256 bytes of counts. */
const rememberedPairs = 20_000;

type Answers = { tokens: Uint32Array; count: number };

/** What each key's calls of each model came to, in this process. Lost with it: then the request's own limit holds again. */
export class HoldSizes {
  readonly #seen = new LRUCache<string, Answers>({ max: rememberedPairs });

  /** A provider's count of one answer's output. */
  learn(virtualKey: string, model: string, outputTokens: number): void {
    const pair = `${virtualKey} ${model}`;
    const answers = this.#seen.get(pair) ?? { tokens: new Uint32Array(rememberedAnswers), count: 0 };
    answers.tokens[answers.count % rememberedAnswers] = Math.min(outputTokens, 2 ** 32 - 1);
    answers.count += 1;
    this.#seen.set(pair, answers);
  }

  /** The longest that an answer is expected to be, in tokens; undefined while too few were seen. */
  expected(virtualKey: string, model: string): number | undefined {
    const answers = this.#seen.get(`${virtualKey} ${model}`);
    if (answers === undefined || answers.count < enoughAnswers) return undefined;
    const sorted = answers.tokens.slice(0, Math.min(answers.count, rememberedAnswers)).toSorted();
    const usual = sorted[Math.ceil(sorted.length * percentile) - 1] ?? 0;
    return Math.max(floorTokens, Math.ceil(usual * headroom));
  }

  async size(call: PricedCall): Promise<HoldSize> {
    const { surface, caller, body, resolved, model } = call;
    const input = await countInput(call);
    const answers = surface.answers(body.json);
    const limit = limitOf(surface.outputLimit(body.json), model);
    const cap = this.expected(caller.virtualKey, model) ?? limit;
    const [wantedOutputTokens, leastOutputTokens] = [
      answers * Math.min(limit, cap),
      answers * Math.min(limit, floorTokens),
    ];
    const cost = (outputTokens: number) => costOf(resolved.price, { ...input, outputTokens });
    return {
      wantedNanos: cost(wantedOutputTokens),
      leastNanos: cost(leastOutputTokens),
      inputTokens: input.inputTokens,
      wantedOutputTokens,
      leastOutputTokens,
    };
  }
}

function costOf(price: Price, bound: Bound): bigint {
  return mostCost(price, bound);
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
