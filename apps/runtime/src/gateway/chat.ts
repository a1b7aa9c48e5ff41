/**
 * POST /v1/chat/completions: key → price → is it covered → provider → charge → answer. The charge comes after the answer until holds
 * exist; what that leaves open is written in docs/decisions/0030-charge-after-answer.md.
 */
import {
  type Billing,
  type ChargeRequest,
  type Cost,
  costOf,
  findRequest,
  type ResolvedPrice,
  readBalance,
  readUsage,
  type Usage,
  upperEstimate,
} from "@drawdown/billing";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Dispatcher } from "undici";
import { z } from "zod";
import type { Logger } from "../log.ts";
import { type Body, headerValue, plainText, readBody, requestIdOf } from "./body.ts";
import { chargeDelivered, chargeHeaders } from "./charge.ts";
import { countPrompt, countTokens } from "./count.ts";
import { errorReply, GatewayError, refusalError } from "./errors.ts";
import type { Caller } from "./keys.ts";
import type { GatewayMetrics } from "./metrics.ts";
import type { Prices } from "./prices.ts";
import {
  answerHeaders,
  callProvider,
  type ProviderAnswer,
  type ProviderCall,
  passBack,
  readWhole,
} from "./provider.ts";
import { passStream, type StreamReading, write } from "./stream.ts";

const tokens = z.number().int().min(1).max(1e9).nullish();

const chatBody = z.looseObject({
  model: plainText,
  messages: z.array(z.looseObject({ role: z.string() })).min(1),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  max_tokens: tokens,
  max_completion_tokens: tokens,
  n: z.number().int().min(1).max(128).nullish(),
  request_id: plainText.optional(),
});
export type ChatBody = z.infer<typeof chatBody>;

export type ChatDependencies = {
  billing: Billing;
  prices: Prices;
  agent: Dispatcher;
  metrics: GatewayMetrics;
  log: Logger;
  /** Request ids that are being answered by this process, by account. */
  underway: Set<string>;
  /** Requests until all of them is done, their charge included, whether or not their client is still there. */
  work: Set<Promise<unknown>>;
  /** Aborts what is still running shortly before the process must end. */
  cut: AbortSignal;
};

/** How long a delivered answer's charge is asked again: while the client waits, and behind a stream that has ended. */
const waitForChargeMs = 5_000;
const chargeBehindMs = 300_000;

type Chat = {
  caller: Caller;
  body: Body<ChatBody>;
  requestId: string;
  resolved: ResolvedPrice;
  /** What the provider calls it. */
  model: string;
  call: ProviderCall;
};

export async function chat(
  deps: ChatDependencies,
  caller: Caller,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  return await tracked(deps.work, answerChat(deps, caller, request, reply));
}

async function answerChat(
  deps: ChatDependencies,
  caller: Caller,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const body = readBody(request, chatBody);
  const id = requestIdOf(request, body.json.request_id);
  reply.header("x-request-id", headerValue(id.id));
  const { resolved, model, provider } = deps.prices.route(caller, body.json.model);
  const release = id.given ? await claim(deps, caller, id.id) : undefined;
  try {
    await requireCover(deps.billing, caller, upperEstimate(resolved.price, body.json).costNanos);
    const left = new AbortController();
    const call: ProviderCall = {
      agent: deps.agent,
      metrics: deps.metrics,
      provider,
      path: "/chat/completions",
      headers: request.headers,
      body: bodyForProvider(body.json, model),
      signal: AbortSignal.any([left.signal, deps.cut]),
    };
    const answer = await callProvider(call);
    const one: Chat = { caller, body, requestId: id.id, resolved, model, call };
    if (answer.statusCode >= 300) return await refuseAsProvider(deps, one, answer, reply);
    const streamed = String(answer.headers["content-type"]).startsWith("text/event-stream");
    return streamed ? await streamAnswer(deps, one, answer, reply, left) : await plainAnswer(deps, one, answer, reply);
  } finally {
    release?.();
  }
}

/** A request id that was answered, or is being answered here, never goes to a provider again. */
async function claim(deps: ChatDependencies, caller: Caller, id: string): Promise<() => void> {
  const key = `${caller.account.id} ${id}`;
  const again = (headers: Record<string, string> = {}) =>
    new GatewayError(
      "idempotency_conflict",
      "This request id was used already. It is not sent to the provider again.",
      {
        headers,
      },
    );
  if (deps.underway.has(key)) throw again();
  deps.underway.add(key);
  try {
    const known = await findRequest(deps.billing, caller.account, id);
    if (known !== undefined) throw again("holdId" in known ? {} : chargeHeaders({ outcome: "repeated", ...known }));
  } catch (error) {
    deps.underway.delete(key);
    throw error;
  }
  return () => deps.underway.delete(key);
}

/** The balance must cover the most that this request can cost. Nothing is set aside: that is what holds are for. */
async function requireCover(billing: Billing, caller: Caller, requiredNanos: bigint): Promise<void> {
  const balance = await readBalance(billing, caller.account);
  if (balance === undefined) throw new GatewayError("invalid_api_key", "The API key is not valid.");
  const refusal = { outcome: "refused", ...balance, requiredNanos } as const;
  if (balance.status !== "active") throw refusalError({ ...refusal, reason: "account_frozen" });
  if (balance.availableNanos < requiredNanos) throw refusalError({ ...refusal, reason: "insufficient_balance" });
}

/** Written anew from what was priced: a body whose fields stand twice cannot mean one thing here and another at the provider. */
function bodyForProvider(json: ChatBody, model: string): Buffer {
  const { request_id: _, ...rest } = json;
  const asked = json.stream === true ? { stream_options: { ...json.stream_options, include_usage: true } } : {};
  try {
    return Buffer.from(JSON.stringify({ ...rest, model, ...asked }));
  } catch (error) {
    throw new GatewayError("invalid_request", "The body is nested too deeply.", { cause: error });
  }
}

async function refuseAsProvider(
  deps: ChatDependencies,
  one: Chat,
  answer: ProviderAnswer,
  reply: FastifyReply,
): Promise<FastifyReply> {
  deps.metrics.upstreamFailures.inc({ provider: one.call.provider.name, kind: String(answer.statusCode) });
  return passBack(reply, one.call, answer, await readWhole(one.call, answer));
}

async function plainAnswer(
  deps: ChatDependencies,
  one: Chat,
  answer: ProviderAnswer,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const bytes = await readWhole(one.call, answer);
  const { usage, choices } = readPlain(bytes);
  const reported = readReportedUsage(usage);
  const textLength = reported === undefined ? JSON.stringify(choices ?? "").length : 0;
  const charge = chargeOf(one, reported, { textLength, textChunks: 0, whole: true });
  // Nothing was given yet: when the charge cannot be made, nothing is.
  const patience = { giveUpMs: waitForChargeMs, cut: deps.cut };
  const charged = await chargeDelivered(deps.billing, deps.metrics, charge, patience);
  reply.headers(chargeHeaders(charged));
  return passBack(reply, one.call, answer, bytes);
}

async function streamAnswer(
  deps: ChatDependencies,
  one: Chat,
  answer: ProviderAnswer,
  reply: FastifyReply,
  left: AbortController,
): Promise<FastifyReply> {
  const response = reply.raw;
  reply.hijack();
  response.once("close", () => left.abort());
  const reading = await passStream({
    body: answer.body,
    response,
    writeHead: () =>
      response.writeHead(200, { ...stringHeaders(reply), ...answerHeaders(answer), "cache-control": "no-cache" }),
    hideUsage: one.body.json.stream_options?.include_usage !== true,
  });
  if (reading.empty) {
    // Not one event came through: nothing was given, nothing is charged, and the answer can still be an error.
    const failed = errorReply(new GatewayError("upstream_error", "The provider broke off before its first word."), "");
    if (!response.destroyed)
      response.writeHead(failed.status, { ...stringHeaders(reply), "content-type": "application/json" });
    response.end(JSON.stringify(failed.body));
    deps.metrics.upstreamFailures.inc({ provider: one.call.provider.name, kind: "broken_off" });
    return reply;
  }
  await chargeStream(deps, one, reading);
  if (reading.ended) for (const event of reading.held) await write(response, event);
  else await write(response, brokenOff(deps, one));
  response.end();
  return reply;
}

/** Charges a stream before its end mark is sent; when billing is away for long, behind the stream's back. */
async function chargeStream(deps: ChatDependencies, one: Chat, reading: StreamReading): Promise<void> {
  const seen = { textLength: reading.textLength, textChunks: reading.textChunks, whole: reading.ended };
  const charging = tracked(deps.work, chargeBehind(deps, one, readReportedUsage(reading.usage), seen));
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, waitForChargeMs);
  await Promise.race([charging, late.promise]);
  clearTimeout(timer);
}

/** The client has its answer: whatever goes wrong now is ours, and on record. Never rejects. */
async function chargeBehind(deps: ChatDependencies, one: Chat, usage: Usage | undefined, seen: Seen): Promise<void> {
  const { caller, requestId } = one;
  try {
    const patience = { giveUpMs: chargeBehindMs, cut: deps.cut };
    await chargeDelivered(deps.billing, deps.metrics, chargeOf(one, usage, seen), patience);
  } catch (error) {
    deps.metrics.uncharged.inc({ reason: error instanceof GatewayError ? error.code : "billing_unavailable" });
    const detail = { account: caller.account.id, request_id: requestId, model: one.model, usage, ...seen };
    deps.log.error({ err: error, ...detail }, "delivered and not charged");
  }
}

function tracked<T>(work: Set<Promise<unknown>>, promise: Promise<T>): Promise<T> {
  const tracking = promise.finally(() => work.delete(tracking));
  work.add(tracking);
  return tracking;
}

/** How much came when the provider did not say: counted from the text. */
type Seen = { textLength: number; textChunks: number; whole: boolean };

function chargeOf(one: Chat, reported: Usage | undefined, seen: Seen): ChargeRequest {
  const perRequest = one.resolved.price.priceModel === "per_request";
  const usage = reported ?? countedUsage(one, seen);
  const usageSource = reported ? "provider" : perRequest ? "none" : seen.whole ? "estimated" : "partial";
  const { costNanos, explanation } = priced(one, usage);
  return {
    account: one.caller.account,
    virtualKey: one.caller.virtualKey,
    requestId: one.requestId,
    digest: one.body.digest,
    costNanos,
    provider: one.resolved.provider,
    model: one.model,
    inputTokens: usage.inputTokens,
    outputTokens: usage.outputTokens,
    totalTokens: usage.totalTokens,
    usageSource,
    metadata: {
      price_id: explanation.price_id,
      ...(one.caller.customerTypeMismatch ? { customer_type_mismatch: true } : {}),
    },
  };
}

/** Usage whose parts do not add up cannot be priced as it stands: its totals can. */
function priced(one: Chat, usage: Usage): Cost {
  try {
    return costOf(one.resolved.price, usage);
  } catch {
    return costOf(one.resolved.price, countedOnly(usage.inputTokens, usage.outputTokens));
  }
}

function countedUsage(one: Chat, seen: Seen): Usage {
  return countedOnly(countPrompt(one.body.json), Math.max(seen.textChunks, countTokens(seen.textLength)));
}

function countedOnly(inputTokens: number, outputTokens: number): Usage {
  const totalTokens = inputTokens + outputTokens;
  return { inputTokens, outputTokens, totalTokens, cachedInputTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 };
}

/** Usage that cannot be understood is no usage: the answer was given all the same, and is counted instead. */
function readReportedUsage(usage: unknown): Usage | undefined {
  try {
    return readUsage(usage);
  } catch {
    return undefined;
  }
}

/** What is no JSON has no usage, and all of it is taken for text. */
function readPlain(bytes: Buffer): { usage?: unknown; choices?: unknown } {
  const text = bytes.toString("utf8");
  try {
    const answer: unknown = JSON.parse(text);
    return typeof answer === "object" && answer !== null ? answer : {};
  } catch {
    return { choices: text };
  }
}

function brokenOff(deps: ChatDependencies, one: Chat): Buffer {
  deps.metrics.upstreamFailures.inc({ provider: one.call.provider.name, kind: "broken_off" });
  const { body } = errorReply(new GatewayError("upstream_error", "The provider broke off. What came is charged."), "");
  return Buffer.from(`data: ${JSON.stringify(body)}\n\n`);
}

function stringHeaders(reply: FastifyReply): Record<string, string> {
  return Object.fromEntries(Object.entries(reply.getHeaders()).map(([header, value]) => [header, String(value)]));
}
