/** The call to a provider: our key instead of the client's, connections kept alive, deadlines, errors passed on as they came. */
import { EventEmitter } from "node:events";
import type { schema } from "@drawdown/db";
import type { FastifyReply } from "fastify";
import { Agent, type Dispatcher, request } from "undici";
import { providerKey } from "../config.ts";
import { GatewayError } from "./errors.ts";
import type { GatewayMetrics } from "./metrics.ts";
import type { Surface } from "./surfaces/surface.ts";

export type Provider = typeof schema.provider.$inferSelect;
export type ProviderAnswer = Dispatcher.ResponseData;

const connectTimeoutMs = 5_000;
const maxPlainBytes = 64 * 1024 * 1024;

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

/** Ends a call to a provider. An emitter, for an AbortSignal costs each call as much as its JSON. */
export class CallEnd extends EventEmitter {
  ended = false;

  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.emit("abort");
  }
}

/** Sends a request. Resolves with the head of the answer, whatever its status; throws `upstream_error` when none came. */
export async function callProvider(call: ProviderCall): Promise<ProviderAnswer> {
  const end = call.metrics.upstreamSeconds.startTimer({ provider: call.provider.name });
  try {
    if (call.end.ended) throw new Error("the call was ended before it began");
    return await request(providerUrl(call.provider, call.surface.path), {
      method: "POST",
      dispatcher: call.agent,
      headers: { ...clientHeaders(call), "content-type": "application/json", ...keyHeaders(call) },
      body: call.body,
      signal: call.end,
    });
  } catch (error) {
    throw unanswered(call, error);
  } finally {
    end();
  }
}

/** The whole body of an answer. Throws `upstream_error` when it breaks off or is larger than can be held. */
export async function readWhole(call: ProviderCall, answer: ProviderAnswer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    // One whose length is known is read at once: an iterator costs a promise a piece, and more.
    if (Number(answer.headers["content-length"]) <= maxPlainBytes) return Buffer.from(await answer.body.arrayBuffer());
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxPlainBytes) throw new Error(`the answer has more than ${maxPlainBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw unanswered(call, error);
  }
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
}

/** Status and body as the provider sent them; its key, should it stand in them, is taken out. */
export function passBack(reply: FastifyReply, call: ProviderCall, answer: ProviderAnswer, body: Buffer): FastifyReply {
  const key = keyOf(call.provider);
  const leaks = answer.statusCode >= 400 && key !== undefined && body.includes(key);
  return reply
    .code(answer.statusCode)
    .headers(answerHeaders(answer))
    .send(leaks ? Buffer.from(body.toString("utf8").replaceAll(key, "[redacted]")) : body);
}

export function answerHeaders(answer: ProviderAnswer): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(answer.headers)) {
    if (value !== undefined && passedBack.test(name)) headers[name] = String(value);
  }
  return headers;
}

function upstreamError(message: string, cause?: unknown): GatewayError {
  return new GatewayError("upstream_error", message, { cause });
}

/** Each provider's row once: it is not changed, it is read again. */
const urls = new WeakMap<Provider, string>();

/** `http://host` stands for `http://host/v1`; a base with a path (`…/v1beta/openai`) is taken as it is. */
function providerUrl(provider: Provider, path: string): string {
  let base = urls.get(provider);
  if (base === undefined) {
    const given = provider.baseUrl.replace(/\/+$/, "");
    base = `${given}${new URL(given).pathname === "/" ? "/v1" : ""}`;
    urls.set(provider, base);
  }
  return `${base}${path}`;
}

function unanswered(call: ProviderCall, error: unknown): GatewayError {
  call.metrics.upstreamFailures.inc({ provider: call.provider.name, kind: "no_answer" });
  return upstreamError("The provider gave no whole answer. Nothing was charged.", error);
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
