/** A charge as the gateway makes it: measured, counted, and for what was delivered already asked again until it is on record. */
import { setTimeout as wait } from "node:timers/promises";
import {
  type Billing,
  BillingError,
  type ChargeRequest,
  captureHold,
  charge,
  type Deduction,
  formatUnits,
  type HoldRef,
  type Price,
} from "@drawdown/billing";
import { GatewayError, refusalError } from "./errors.ts";
import type { GatewayMetrics } from "./metrics.ts";

export type Charged = { outcome: "charged" | "repeated" } & Deduction;

const firstPauseMs = 50;
const longestPauseMs = 2_000;

/** Charges once. `price` is kept with a refusal. Throws a `GatewayError` for every outcome that moves no money, a `BillingError` when a store failed. */
export async function chargeOnce(
  billing: Billing,
  metrics: GatewayMetrics,
  request: ChargeRequest,
  price?: Price,
): Promise<Charged> {
  const outcome = await measured(metrics, request, () => charge(billing, request));
  switch (outcome.outcome) {
    case "charged":
    case "repeated":
      return outcome;
    case "conflict":
      throw conflict(request.requestId);
    case "refused": {
      const { requestId, provider, model, inputTokens, outputTokens } = request;
      const estimate = { input_tokens: inputTokens, output_tokens: outputTokens };
      throw refusalError(outcome, { requestId, provider, model, price, estimate });
    }
    case "unknown_account":
      // The key named an account a moment ago: it was removed since, and the key with it.
      throw new GatewayError("invalid_api_key", "The API key is not valid.");
  }
}

/** How long a store that is away is asked again, at most; `cut` ends it early. */
export type Patience = { giveUpMs: number; cut: AbortSignal };

/**
 * Draws what a hold was opened for. A hold that is unknown, because Redis lost it, is charged by its request id instead. Throws as
 * `chargeOnce`.
 */
export async function captureOnce(
  billing: Billing,
  metrics: GatewayMetrics,
  hold: HoldRef,
  request: ChargeRequest,
): Promise<Charged> {
  const outcome = await measured(metrics, request, () => captureHold(billing, hold, request));
  switch (outcome.outcome) {
    case "charged":
    case "repeated":
      return outcome;
    case "conflict":
      throw conflict(request.requestId);
    case "closed":
    case "unknown_hold":
    case "unknown_account":
      return await chargeOnce(billing, metrics, { ...request, delivered: true });
  }
}

/** Draws what was delivered: a store that is away is asked again for as long as `patience` says. Throws at once when that cannot help. */
export async function untilOnRecord(patience: Patience, draw: () => Promise<Charged>): Promise<Charged> {
  const giveUpAtMs = performance.now() + patience.giveUpMs;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    try {
      return await draw();
    } catch (error) {
      const hopeless = !(error instanceof BillingError) || !error.retryable;
      if (hopeless || patience.cut.aborted || performance.now() + pauseMs > giveUpAtMs) throw error;
      await wait(pauseMs, undefined, { signal: patience.cut }).catch(() => undefined);
    }
  }
}

function conflict(requestId: string): GatewayError {
  return new GatewayError("idempotency_conflict", "This request id was used with another body. Nothing was charged.", {
    fields: { request_id: requestId },
  });
}

/** What every answer says about its charge. */
export function chargeHeaders(charged: Charged): Record<string, string> {
  return {
    "x-drawdown-deduction-id": charged.deductionId,
    "x-drawdown-cost": formatUnits(charged.costNanos),
    "x-drawdown-balance-after": formatUnits(charged.balanceAfterNanos),
  };
}

async function measured<T extends { outcome: string }>(
  metrics: GatewayMetrics,
  request: ChargeRequest,
  draw: () => Promise<T>,
): Promise<T> {
  const end = metrics.chargeSeconds.startTimer();
  let label = "failed";
  try {
    const outcome = await draw();
    label = outcome.outcome;
    return outcome;
  } finally {
    end();
    metrics.charges.inc({ outcome: label, usage_source: request.usageSource });
    if (label === "charged" && request.metadata?.["customer_type_mismatch"] === true)
      metrics.customerTypeMismatches.inc();
  }
}
