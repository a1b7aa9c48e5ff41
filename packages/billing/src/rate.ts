// Requests per minute of a key, counted across all gateways in Redis. The window slides: in no 60 seconds are more admitted than the
// limit, and each that was admitted is known until it is a minute old. No money is moved here, so no fence is asked.
import type { Billing } from "./billing.ts";
import { rateKey, shardOf } from "./keys.ts";
import { loadScript, replyArray, replyText, runScript } from "./redis.ts";
import type { AccountRef } from "./stream.ts";

const script = loadScript("./rate.lua");
const WINDOW_MS = 60_000;

export type RateOutcome = { outcome: "admitted" } | { outcome: "limited"; retryAfterMs: number };

/** Counts a request of a key. Throws `redis_unavailable`, `redis_memory`: then nothing may be served either. */
export async function admitRequest(
  billing: Billing,
  account: AccountRef,
  virtualKey: string,
  requestsPerMinute: number,
): Promise<RateOutcome> {
  const key = rateKey(shardOf(account.id, billing.numShards), virtualKey);
  const args = [String(requestsPerMinute), String(WINDOW_MS)];
  const [word, wait = ""] = replyArray(await runScript(billing.redis, script, [key], args)).map(replyText);
  return word === "admitted" ? { outcome: "admitted" } : { outcome: "limited", retryAfterMs: Number(wait) };
}
