/** The call to a provider: our key instead of the client's, connections kept alive, deadlines, errors passed on as they came. */
import type { schema } from "@drawdown/db";
import type { FastifyReply } from "fastify";
import { Agent, type Dispatcher } from "undici";
import { providerKey } from "../config.ts";
import { AnswerTaking, type CallEnd, type PlainAnswer, type ProviderAnswer } from "./answer.ts";
import { GatewayError } from "./errors.ts";
import type { GatewayMetrics } from "./metrics.ts";
import type { Surface } from "./surfaces/surface.ts";

export type Provider = typeof schema.provider.$inferSelect;

const connectTimeoutMs = 5_000;

/** Of the client's headers only these go on: its key, its cookies and its address are none of the provider's business. */
const passedOn = ["accept", "openai-beta", "anthropic-version", "anthropic-beta"];
/** Of the provider's headers only these come back. */
const passedBack =
  /^(content-type|retry-after|retry-after-ms|openai-processing-ms|openai-model|x-ratelimit-|anthropic-ratelimit-)/;

/** Connections to providers, kept alive between requests. `silenceMs`: longest wait for the head, and between two pieces of the body. */
export function providerConnections(silenceMs: number): Agent {
  return new Agent({
    connect: { timeout: connectTimeoutMs },
    headersTimeout: silenceMs,
    bodyTimeout: silenceMs,
    keepAliveTimeout: 10_000,
  });
}

export type ProviderCall = {
  agent: Dispatcher;
  metrics: GatewayMetrics;
  provider: Provider;
  surface: Surface;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
  end: CallEnd;
};

/**
 * Sends a request. Resolves with the answer, whatever its status: a stream of events with its head, any other when all of it came. Throws
 * `upstream_error` when none came, or when one that is no stream broke off or is larger than can be held.
 */
export async function callProvider(call: ProviderCall): Promise<ProviderAnswer> {
  const headCame = call.metrics.upstreamSeconds.startTimer({ provider: call.provider.name });
  try {
    if (call.end.ended) throw new Error("the call was ended before it began");
    const taking = new AnswerTaking(call.end, headCame);
    const headers = { ...clientHeaders(call), "content-type": "application/json", ...keyHeaders(call) };
    call.agent.dispatch({ ...addressOf(call), method: "POST", headers, body: call.body }, taking);
    return await taking.answer;
  } catch (error) {
    call.metrics.upstreamFailures.inc({ provider: call.provider.name, kind: "no_answer" });
    throw new GatewayError("upstream_error", "The provider gave no whole answer. Nothing was charged.", {
      cause: error,
    });
  }
}

/** Status and body as the provider sent them; its key, should it stand in them, is taken out. */
export function passBack(reply: FastifyReply, call: ProviderCall, answer: PlainAnswer): FastifyReply {
  const { bytes, statusCode } = answer;
  const key = statusCode < 400 ? undefined : keyOf(call.provider);
  const leaks = key !== undefined && bytes.includes(key);
  return reply
    .code(statusCode)
    .headers(answerHeaders(answer))
    .send(leaks ? Buffer.from(bytes.toString("utf8").replaceAll(key, "[redacted]")) : bytes);
}

export function answerHeaders(answer: ProviderAnswer): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(answer.headers)) {
    if (value !== undefined && passedBack.test(name)) headers[name] = String(value);
  }
  return headers;
}

type Address = { origin: string; path: string };
/** Each provider's row once: it is not changed, it is read again. */
const addresses = new WeakMap<Provider, Map<string, Address>>();

/** `http://host` stands for `http://host/v1`; a base with a path (`…/v1beta/openai`) is taken as it is. */
function addressOf({ provider, surface }: ProviderCall): Address {
  const known = addresses.get(provider) ?? new Map<string, Address>();
  addresses.set(provider, known);
  let address = known.get(surface.path);
  if (address === undefined) {
    const base = provider.baseUrl.replace(/\/+$/, "");
    const url = new URL(`${base}${new URL(base).pathname === "/" ? "/v1" : ""}${surface.path}`);
    address = { origin: url.origin, path: `${url.pathname}${url.search}` };
    known.set(surface.path, address);
  }
  return address;
}

function clientHeaders(call: ProviderCall): Record<string, string> {
  const kept: Record<string, string> = { ...call.surface.defaultHeaders };
  for (const name of passedOn) {
    const value = call.headers[name];
    if (typeof value === "string") kept[name] = value;
  }
  return kept;
}

function keyOf(provider: Provider): string | undefined {
  return provider.apiKeyEnv === null ? undefined : providerKey(provider.apiKeyEnv);
}

function keyHeaders(call: ProviderCall): Record<string, string> {
  const key = keyOf(call.provider);
  return key === undefined ? {} : call.surface.keyHeaders(key);
}
