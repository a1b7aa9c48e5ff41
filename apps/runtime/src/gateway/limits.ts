/**
 * What a key may do: how often it asks, and for which models; and how many requests a gateway takes on at once. What a key may spend is
 * checked by the scripts that hold and charge.
 */
import { admitRequest, type Billing } from "@drawdown/billing";
import type { FastifyRequest } from "fastify";
import { GatewayError } from "./errors.ts";
import type { Caller } from "./keys.ts";

/** Asks for something new: a capture or a release ends what was given, and is never refused; reading is cheap. */
function asksAnew(request: FastifyRequest): boolean {
  return request.method === "POST" && request.routeOptions.url?.endsWith("/capture") !== true;
}

/**
 * Refuses what is more than a gateway can have in memory at once, before its body is read. It is this that bounds every queue behind it:
 * what waits for Redis, for providers and for slow clients. Throws `billing_unavailable`.
 */
export function requireRoom(inFlight: number, maxInFlight: number, request: FastifyRequest): void {
  if (inFlight <= maxInFlight || !asksAnew(request)) return;
  throw new GatewayError("billing_unavailable", "The gateway answers as many requests as it can. Ask again.");
}

/**
 * Counts a request that may cost something against its key's requests per minute; every one counts, whatever becomes of it. Reading a
 * balance is free, and a capture is never refused: its service was given. Throws `rate_limited`.
 */
export async function requireRate(billing: Billing, caller: Caller, request: FastifyRequest): Promise<void> {
  const { requestsPerMinute } = caller.limits;
  if (requestsPerMinute === null || !asksAnew(request)) return;
  const outcome = await admitRequest(billing, caller.account, caller.virtualKey, requestsPerMinute);
  if (outcome.outcome === "admitted") return;
  const seconds = String(Math.ceil(outcome.retryAfterMs / 1_000));
  const message = `The key is limited to ${requestsPerMinute} requests a minute. Ask again in ${seconds} s.`;
  throw new GatewayError("rate_limited", message, { headers: { "retry-after": seconds } });
}

/** Whether a key may use a model, by any of the names that it has here. */
export function mayUse(caller: Caller, names: readonly string[]): boolean {
  const { allowedModels } = caller.limits;
  if (allowedModels === null) return true;
  const asked = names.map((name) => name.toLowerCase());
  return allowedModels.some((allowed) => {
    const wanted = allowed.toLowerCase();
    if (!wanted.endsWith("*")) return asked.includes(wanted);
    return asked.some((name) => name.startsWith(wanted.slice(0, -1)));
  });
}

/** Throws `model_not_allowed`; the first name is the one that is told. */
export function requireModel(caller: Caller, names: readonly [string, ...string[]]): void {
  if (mayUse(caller, names)) return;
  throw new GatewayError("model_not_allowed", `The key may not use the model ${JSON.stringify(names[0])}.`);
}
