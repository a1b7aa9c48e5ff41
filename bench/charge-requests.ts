// The accounts and charges that every measurement of the charge path uses. All are made from a number, so that a million accounts cost the
// process that charges them no memory, and have the lengths of real ones.
import type { AccountRef, ChargeRequest } from "@drawdown/billing";

/** One million units at most in the fast range of the scripts' arithmetic, as accounts of customers are. */
export const OPENING_NANOS = 1_000_000_000_000n;
export const COST_NANOS = 25_000n;

/** What `redis-benchmark` puts another 12 digits for, in each command. */
export const RANDOM_DIGITS = "__rand_int__";
const id = (digits: string) => `00000000-0000-4000-8000-${digits}`;

export function accountAt(n: number): AccountRef {
  const accountId = id(n.toString().padStart(12, "0"));
  return { id: accountId, ownerId: accountId, type: "user", currency: "USD" };
}

/** A charge as a gateway makes it; `digits` makes its request id. */
export function chargeOf(account: AccountRef, digits: string): ChargeRequest {
  return {
    account,
    virtualKey: "vk_0123456789abcdef",
    requestId: id(digits),
    digest: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    costNanos: COST_NANOS,
    provider: "openai",
    model: "gpt-4o-mini",
    inputTokens: 120,
    outputTokens: 20,
    usageSource: "provider",
    metadata: { price_id: "1" },
  };
}
