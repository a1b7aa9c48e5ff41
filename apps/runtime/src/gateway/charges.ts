/** POST /v1/charges, for gateways of other people: they served the call and report what it used. */
import {
  type Billing,
  type ChargeRequest,
  costOf,
  formatUnits,
  metadataOf,
  type Price,
  readUsage,
  type Usage,
} from "@drawdown/billing";
import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { headerValue, plainText, readBody, requestIdOf } from "./body.ts";
import { type Charged, chargeHeaders, chargeOnce } from "./charge.ts";
import { GatewayError } from "./errors.ts";
import type { Caller } from "./keys.ts";
import type { GatewayMetrics } from "./metrics.ts";
import type { PricedModel, Prices } from "./prices.ts";

/** A misspelt `request_id` would be charged twice when it is sent again: what is not known is refused. */
const chargeBody = z.strictObject({
  provider: plainText.optional(),
  model: plainText,
  usage: z.record(z.string(), z.unknown()).nullish(),
  request_id: plainText.optional(),
});

const noUsage: Usage = {
  inputTokens: 0,
  outputTokens: 0,
  totalTokens: 0,
  cachedInputTokens: 0,
  cacheWriteTokens: 0,
  reasoningTokens: 0,
};

export async function postCharge(
  deps: { billing: Billing; prices: Prices; metrics: GatewayMetrics },
  caller: Caller,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { json, digest } = readBody(request, chargeBody);
  const { id } = requestIdOf(request, json.request_id);
  reply.header("x-request-id", headerValue(id));
  const { drawn, price } = priceReported(deps.prices, caller, json);
  const whose = { ...callerArgs(caller), requestId: id, digest };
  return sendCharged(reply, await chargeOnce(deps.billing, deps.metrics, { ...whose, ...drawn }, price));
}

/** Who pays for a hold or a charge, and within which limit. */
export function callerArgs({ account, virtualKey, limits }: Caller) {
  return { account, virtualKey, ...(limits.spendLimit === null ? {} : { spendLimit: limits.spendLimit }) };
}

/** A charge, or a capture, as other people's gateways are answered. */
export function sendCharged(reply: FastifyReply, charged: Charged): FastifyReply {
  return reply.headers(chargeHeaders(charged)).send({
    deduction_id: charged.deductionId,
    cost: formatUnits(charged.costNanos),
    balance_before: formatUnits(charged.balanceBeforeNanos),
    balance_after: formatUnits(charged.balanceAfterNanos),
    account_seq: charged.accountSeq.toString(),
  });
}

/** What a call cost that somebody else served, by what they report. Throws `model_not_priced` and `invalid_request`. */
export function priceReported(
  prices: Prices,
  caller: Caller,
  report: { provider?: string | undefined; model: string; usage?: unknown },
): { drawn: Omit<ChargeRequest, "account" | "virtualKey" | "requestId" | "digest">; price: Price } {
  const { model, provider } = report;
  const priced = prices.price(caller, provider === undefined ? { model } : { model, provider });
  const usage = reportedUsage(priced, report.usage);
  const cost = costOf(priced.resolved.price, usage);
  const drawn = {
    costNanos: cost.costNanos,
    provider: priced.resolved.provider,
    model: priced.model,
    inputTokens: usage.inputTokens,
    outputTokens: usage.outputTokens,
    totalTokens: usage.totalTokens,
    usageSource: "reported" as const,
    metadata: { ...metadataOf(cost, usage), ...flagsOf(caller) },
  };
  return { drawn, price: priced.resolved.price };
}

/** What is odd about a caller is written beside the charge. */
export function flagsOf(caller: Caller): { customer_type_mismatch?: true } {
  return caller.customerTypeMismatch ? { customer_type_mismatch: true } : {};
}

/** Only a price by request needs no count; everywhere else, unknown is not zero. */
function reportedUsage(priced: PricedModel, usage: unknown): Usage {
  const read = readUsage(usage);
  if (read !== undefined) return read;
  if (priced.resolved.price.priceModel === "per_request") return noUsage;
  throw new GatewayError("invalid_request", "`usage` is not valid: it names no token count.");
}
