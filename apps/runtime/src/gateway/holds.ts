/** POST /v1/holds, its capture and its end, for gateways of other people: they serve the call between the two. */
import {
  type Billing,
  captureHold,
  formatUnits,
  MAX_AMOUNT_NANOS,
  openHold,
  parseUnits,
  voidHold,
} from "@drawdown/billing";
import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { headerValue, plainText, readBody, requestIdOf } from "./body.ts";
import { callerArgs, flagsOf, priceReported, sendCharged } from "./charges.ts";
import { GatewayError, refusalError } from "./errors.ts";
import type { Caller } from "./keys.ts";
import { requireModel } from "./limits.ts";
import type { Prices } from "./prices.ts";

const defaultTtlSeconds = 300;
const longestTtlSeconds = 86_400;

const amount = z
  .string()
  .refine((text) => parsed(text) !== undefined, "must be a decimal number in a string, with at most 9 decimals")
  .transform((text) => parsed(text) ?? 0n)
  .refine((nanos) => nanos >= 0n && nanos <= MAX_AMOUNT_NANOS, "is out of range");

/** Either an amount, or what it is to be priced by. */
const priced = z
  .strictObject({
    amount: amount.optional(),
    provider: plainText.optional(),
    model: plainText.optional(),
    usage: z.record(z.string(), z.unknown()).nullish(),
  })
  .refine(
    (body) => (body.amount === undefined ? body.model !== undefined : body.usage == null),
    "needs either `amount`, or `model` and `usage`",
  );

const holdBody = priced
  .safeExtend({
    request_id: plainText.optional(),
    ttl_s: z.number().int().min(1).max(longestTtlSeconds).default(defaultTtlSeconds),
  })
  .refine((body) => body.amount !== 0n, "sets nothing aside: `amount` must be above 0");

type HoldDependencies = { billing: Billing; prices: Prices };

/** What is drawn when the amount is not priced here. */
const external = "external";

export async function postHold(
  deps: HoldDependencies,
  caller: Caller,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { json, digest } = readBody(request, holdBody);
  const { id } = requestIdOf(request, json.request_id);
  reply.header("x-request-id", headerValue(id));
  const { drawn, price } = costOfBody(deps.prices, caller, json);
  const { costNanos, provider, model, inputTokens, outputTokens } = drawn;
  const outcome = await openHold(deps.billing, {
    ...callerArgs(caller),
    requestId: id,
    digest,
    amountNanos: costNanos,
    ttlMs: json.ttl_s * 1_000,
    provider,
    model,
  });
  switch (outcome.outcome) {
    case "held":
    case "repeated":
      return reply.header("x-drawdown-deduction-id", outcome.holdId).send({
        hold_id: outcome.holdId,
        amount: formatUnits(outcome.amountNanos),
        expires_at: outcome.expiresAt.toISOString(),
        available: formatUnits(outcome.availableNanos),
      });
    case "refused": {
      const estimate = price && { input_tokens: inputTokens, output_tokens: outputTokens };
      throw refusalError(outcome, { requestId: id, provider, model, price, estimate });
    }
    case "unknown_account":
      throw new GatewayError("invalid_api_key", "The API key is not valid.");
    case "answered":
    case "conflict":
      throw new GatewayError("idempotency_conflict", "This request id was used for something else.");
  }
}

export async function postCapture(
  deps: HoldDependencies,
  caller: Caller,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { json } = readBody(request, priced);
  const { account, virtualKey } = caller;
  // The service was given: which models the key may use is no question any more.
  const { drawn: cost } = costOfBody(
    deps.prices,
    { ...caller, limits: { ...caller.limits, allowedModels: null } },
    json,
  );
  const drawn = { virtualKey, ...cost };
  const outcome = await captureHold(deps.billing, { account, holdId: holdIdOf(request) }, drawn);
  switch (outcome.outcome) {
    case "charged":
    case "repeated":
      return sendCharged(reply, outcome);
    case "conflict":
      throw new GatewayError("idempotency_conflict", "This hold was captured already, with another cost.");
    case "closed":
      throw closed("released");
    case "unknown_hold":
    case "unknown_account":
      throw notFound();
  }
}

export async function deleteHold(
  deps: HoldDependencies,
  caller: Caller,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const holdId = holdIdOf(request);
  const { outcome } = await voidHold(deps.billing, { account: caller.account, holdId });
  if (outcome === "closed") throw closed("captured");
  if (outcome === "unknown_hold") throw notFound();
  return reply.send({ hold_id: holdId, status: "voided" });
}

function costOfBody(prices: Prices, caller: Caller, json: z.infer<typeof priced>) {
  if (json.amount === undefined) return priceReported(prices, caller, { ...json, model: json.model ?? "" });
  const [provider, model] = [json.provider ?? external, json.model ?? external];
  requireModel(caller, [model, `${provider}/${model}`]);
  const counts = { inputTokens: 0, outputTokens: 0, usageSource: "reported" as const };
  const drawn = { costNanos: json.amount, provider, model, ...counts, metadata: flagsOf(caller) };
  return { drawn, price: undefined };
}

function parsed(text: string): bigint | undefined {
  try {
    return parseUnits(text);
  } catch {
    return undefined;
  }
}

function holdIdOf(request: FastifyRequest): string {
  return (request.params as { id: string }).id;
}

function closed(how: "captured" | "released"): GatewayError {
  return new GatewayError("hold_closed", `The hold was ${how} already.`);
}

function notFound(): GatewayError {
  return new GatewayError("hold_not_found", "There is no such hold.");
}
