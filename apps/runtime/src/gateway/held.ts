/**
 * The hold of one proxied call, from before the provider is reached until its cost is known: kept open while the call lasts, captured with
 * what was used, released when nothing was given. A gateway that dies leaves a hold that expires within 30 s.
 */
import {
  type Billing,
  BillingError,
  type ChargeRequest,
  extendHold,
  findRequest,
  formatUnits,
  type HoldOutcome,
  type HoldPolicy,
  type HoldRef,
  openHold,
  type Refusal,
  voidHold,
} from "@drawdown/billing";
import type { PricedCall } from "./bill.ts";
import { type Charged, captureOnce, chargeHeaders, type Patience, untilOnRecord } from "./charge.ts";
import { callerArgs } from "./charges.ts";
import { type Asked, GatewayError, refusalError } from "./errors.ts";
import type { HoldSize, HoldSizes } from "./hold-size.ts";
import type { GatewayMetrics } from "./metrics.ts";

const lifeMs = 30_000;
const extendEveryMs = 10_000;

/** `holdPolicy`: of keys that have none of their own. */
export type HoldDependencies = {
  billing: Billing;
  metrics: GatewayMetrics;
  sizes: HoldSizes;
  holdPolicy: HoldPolicy;
};

/** Another hold may be opened between the refusal and the second try. */
const tries = 3;

/**
 * Sets the wanted amount aside, or as the policy says. Where a hold from above is missed by nobody the prompt is not counted, unless that is
 * refused after all. Throws a `GatewayError` for every refusal, a `BillingError` when a store failed.
 */
export async function hold(deps: HoldDependencies, call: PricedCall): Promise<Held> {
  const fromAboveNanos = deps.sizes.fromAbove(call);
  if (fromAboveNanos !== undefined) {
    const outcome = await openOnce(deps.billing, call, fromAboveNanos);
    if (outcome.outcome !== "refused") return await heldOf(deps, call, outcome, outcome.outcome);
  }
  return await holdCounted(deps, call, await deps.sizes.size(call));
}

async function holdCounted(deps: HoldDependencies, call: PricedCall, size: HoldSize): Promise<Held> {
  const policy = call.caller.limits.holdPolicy ?? deps.holdPolicy;
  const leastNanos = policy === "available" ? size.leastNanos : size.wantedNanos;
  let amountNanos = size.wantedNanos;
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await openOnce(deps.billing, call, amountNanos);
    if (outcome.outcome !== "refused") {
      const label = outcome.outcome === "held" && amountNanos < size.wantedNanos ? "held_less" : outcome.outcome;
      return await heldOf(deps, call, outcome, label);
    }
    const coveredNanos = coverOf(outcome);
    const enough = policy === "available" && coveredNanos !== undefined && coveredNanos >= leastNanos;
    if (enough && attempt < tries) {
      amountNanos = coveredNanos;
      continue;
    }
    deps.metrics.holds.inc({ outcome: "refused" });
    const requiredNanos = enough ? outcome.requiredNanos : leastNanos;
    throw refusalError({ ...outcome, requiredNanos }, askedOf(call, size));
  }
}

/** What was answered, if it is a hold. */
async function heldOf(
  deps: HoldDependencies,
  call: PricedCall,
  outcome: Exclude<HoldOutcome, Refusal>,
  label: string,
): Promise<Held> {
  deps.metrics.holds.inc({ outcome: label });
  switch (outcome.outcome) {
    case "held":
      deps.sizes.saw(call.caller.account.id, outcome.availableNanos);
      return new Held(deps, call, outcome);
    case "repeated":
      throw again();
    case "conflict":
      throw again(await headersOfFirst(deps.billing, call));
    case "answered":
      throw again(chargeHeaders({ ...outcome, outcome: "repeated" }));
    case "unknown_account":
      // The key named an account a moment ago: it was removed since, and the key with it.
      throw new GatewayError("invalid_api_key", "The API key is not valid.");
  }
}

/** What could be held instead; undefined where no smaller amount would do. */
function coverOf({ reason, availableNanos, spend }: Refusal): bigint | undefined {
  if (spend !== undefined) return spend.limitNanos - spend.drawnNanos - spend.reservedNanos;
  return reason === "insufficient_balance" ? availableNanos : undefined;
}

function askedOf(call: PricedCall, { wantedNanos, leastNanos, ...tokens }: HoldSize): Asked {
  const { requestId, resolved, model } = call;
  const amounts = { wanted: formatUnits(wantedNanos), least: formatUnits(leastNanos) };
  const counts = {
    input_tokens: tokens.inputTokens,
    output_tokens: tokens.wantedOutputTokens,
    least_output_tokens: tokens.leastOutputTokens,
  };
  return { requestId, provider: resolved.provider, model, price: resolved.price, estimate: { ...amounts, ...counts } };
}

async function openOnce(billing: Billing, call: PricedCall, amountNanos: bigint): Promise<HoldOutcome> {
  return await openHold(billing, {
    ...callerArgs(call.caller),
    requestId: call.requestId,
    digest: call.body.digest,
    amountNanos,
    ttlMs: lifeMs,
    served: true,
    provider: call.resolved.provider,
    model: call.model,
  });
}

/** Another body under a known request id: what the first one was charged, when it was. */
async function headersOfFirst(billing: Billing, call: PricedCall): Promise<Record<string, string>> {
  const first = await findRequest(billing, call.caller.account, call.requestId);
  return first === undefined || "holdId" in first ? {} : chargeHeaders({ outcome: "repeated", ...first });
}

/** A request id that was answered, or is being answered, never goes to a provider again, whatever its body. */
function again(headers: Record<string, string> = {}): GatewayError {
  const message = "This request id was used already. It is not sent to the provider again.";
  return new GatewayError("idempotency_conflict", message, { headers });
}

export class Held {
  /** The `deduction_id` of what is charged in the end. */
  readonly holdId: string;
  readonly #deps: HoldDependencies;
  readonly #ref: HoldRef & { request: NonNullable<HoldRef["request"]> };
  readonly #amountNanos: bigint;
  readonly #extending: NodeJS.Timeout;

  constructor(deps: HoldDependencies, call: PricedCall, held: { holdId: string; amountNanos: bigint }) {
    this.#deps = deps;
    this.holdId = held.holdId;
    this.#amountNanos = held.amountNanos;
    const request = { requestId: call.requestId, digest: call.body.digest };
    this.#ref = { account: call.caller.account, holdId: held.holdId, request };
    this.#extending = setInterval(() => void this.#extend(), extendEveryMs);
    this.#extending.unref();
  }

  /**
   * Draws what was used, asking a store that is away again for as long as `patience` says. A hold that Redis lost is charged by its
   * request id. Throws what `captureOnce` throws.
   */
  async capture(charge: ChargeRequest, patience: Patience): Promise<Charged> {
    const { billing, metrics } = this.#deps;
    // Redis forgets the hold with its capture; the trace of the charge still says what was set aside.
    const drawn = { ...charge, metadata: { ...charge.metadata, held: formatUnits(this.#amountNanos) } };
    try {
      const charged = await untilOnRecord(patience, () => captureOnce(billing, metrics, this.#ref, drawn));
      if (charge.costNanos > 0n)
        metrics.holdRatio.observe(Number((this.#amountNanos * 1_000n) / charge.costNanos) / 1_000);
      return charged;
    } finally {
      clearInterval(this.#extending);
    }
  }

  /** Gives all of it back: nothing was given. Never rejects: what cannot be released now expires by itself. */
  async void(): Promise<void> {
    clearInterval(this.#extending);
    await voidHold(this.#deps.billing, this.#ref).catch(leftToExpire);
  }

  /** A hold that is over (its gateway was stopped for longer than it lives) stays over: its capture still records. */
  async #extend(): Promise<void> {
    await extendHold(this.#deps.billing, this.#ref, lifeMs).catch(leftToExpire);
  }
}

function leftToExpire(error: unknown): void {
  if (!(error instanceof BillingError)) throw error;
}
