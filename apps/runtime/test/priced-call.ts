/** A request as the gateway has priced it, for tests that need no server. */
import type { Price, RateKind } from "@drawdown/billing";
import type { PricedCall } from "../src/gateway/bill.ts";
import type { Surface } from "../src/gateway/surfaces/surface.ts";

/** One nano for a token in, a million for one out: a cost can be read as its counts. */
const rates: Partial<Record<RateKind, bigint>> = { input: 1_000n, output: 1_000_000_000n };

export function pricedCall(
  surface: Surface,
  provider: string,
  fields: { model: string; [field: string]: unknown },
): PricedCall {
  const price: Price = {
    id: 1n,
    provider,
    model: fields.model,
    customerTypeId: null,
    currency: "USD",
    priceModel: "per_input_output",
    rates,
    tiers: [],
    validFrom: new Date(0),
    source: "test",
  };
  return {
    surface,
    caller: {
      virtualKey: "vk",
      account: { id: "a", ownerId: "o", type: "user", currency: "USD" },
      customerTypeId: null,
      customerTypeMismatch: false,
      limits: { allowedModels: null, spendLimit: null, requestsPerMinute: null, holdPolicy: null, leavePolicy: null },
    },
    body: { bytes: Buffer.from(JSON.stringify(fields)), parsed: fields, json: fields, digest: "d" },
    requestId: "r",
    resolved: { provider, price },
    model: fields.model,
  };
}
