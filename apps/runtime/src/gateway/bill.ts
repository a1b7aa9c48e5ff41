/**
 * What an answer is charged, and how that is known: `provider` when it said so, `partial` when it did not come whole, `estimated` when it
 * came whole and without usage, `none` when the price needs no count. An explicit zero is what the provider said.
 */
import {
  type ChargeRequest,
  type Cost,
  costOf,
  metadataOf,
  type ResolvedPrice,
  readUsage,
  type Usage,
  type UsageSource,
} from "@drawdown/billing";
import type { Body } from "./body.ts";
import { countOutput, countPrompt } from "./count.ts";
import type { Caller } from "./keys.ts";
import type { ProxiedBody, Reading, Surface } from "./surfaces/surface.ts";

/** A request that was priced: all that is asked of it again when it is charged. */
export type PricedCall = {
  surface: Surface;
  caller: Caller;
  body: Body<ProxiedBody>;
  requestId: string;
  resolved: ResolvedPrice;
  /** What the provider calls it. */
  model: string;
};

/** Nothing was given: not a word, no usage, no end. Such an answer is free. */
export function nothingGiven(reading: Reading): boolean {
  return !reading.ended && reading.textLength === 0 && !reading.outputKnown;
}

/** The charge of what was given. Counts what the provider did not say, which may take a moment for a long text. */
export async function chargeFor(call: PricedCall, reading: Reading): Promise<ChargeRequest> {
  const { caller, resolved, model } = call;
  const { usage, source } = await usageOf(call, reading);
  const cost = priced(resolved, usage);
  return {
    account: caller.account,
    virtualKey: caller.virtualKey,
    requestId: call.requestId,
    digest: call.body.digest,
    costNanos: cost.costNanos,
    provider: resolved.provider,
    model,
    inputTokens: usage.inputTokens,
    outputTokens: usage.outputTokens,
    totalTokens: usage.totalTokens,
    usageSource: source,
    metadata: {
      ...metadataOf(cost, usage),
      ...(caller.customerTypeMismatch ? { customer_type_mismatch: true } : {}),
    },
  };
}

async function usageOf(call: PricedCall, reading: Reading): Promise<{ usage: Usage; source: UsageSource }> {
  const reported = readReported(reading);
  if (reported !== undefined && reading.ended && reading.outputKnown) return { usage: reported, source: "provider" };
  const output = await countOutput(call.resolved.provider, call.model, reading);
  const usage =
    reported === undefined
      ? countedOnly(await countPrompt(call.resolved.provider, call.model, call.body.json, call.surface.prompt), output)
      : withOutput(reported, output);
  if (reported === undefined && call.resolved.price.priceModel === "per_request") return { usage, source: "none" };
  return { usage, source: reading.ended ? "estimated" : "partial" };
}

/** Usage that cannot be understood is no usage: the answer was given all the same, and is counted instead. */
function readReported(reading: Reading): Usage | undefined {
  try {
    return readUsage(reading.usage);
  } catch {
    return undefined;
  }
}

/** What the provider said of the input holds; of the output it said less than came. */
function withOutput(reported: Usage, counted: number): Usage {
  const outputTokens = Math.max(reported.outputTokens, counted);
  return { ...reported, outputTokens, totalTokens: reported.inputTokens + outputTokens };
}

/** Usage whose parts do not add up cannot be priced as it stands: its totals can. */
function priced(resolved: ResolvedPrice, usage: Usage): Cost {
  try {
    return costOf(resolved.price, usage);
  } catch {
    return costOf(resolved.price, countedOnly(usage.inputTokens, usage.outputTokens));
  }
}

function countedOnly(inputTokens: number, outputTokens: number): Usage {
  const totalTokens = inputTokens + outputTokens;
  return { inputTokens, outputTokens, totalTokens, cachedInputTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 };
}
