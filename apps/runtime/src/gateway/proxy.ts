/**
 * A proxied call, whatever its surface: key → price → hold → provider → answer, and its charge. Nothing is sent to a provider that is not
 * covered by a hold, and every hold ends captured or released: docs/decisions/0030-hold-before-the-provider.md says which, and what is
 * done for a client that leaves.
 */
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Dispatcher } from "undici";
import type { Logger } from "../log.ts";
import { CallEnd, type EventAnswer, type PlainAnswer } from "./answer.ts";
import { chargeFor, nothingGiven, type PricedCall } from "./bill.ts";
import { asSent, headerValue, readBody, refuseDoubledHeaders, requestIdOf } from "./body.ts";
import { type Charged, chargeHeaders } from "./charge.ts";
import { errorReply, GatewayError } from "./errors.ts";
import { type Held, type HoldDependencies, hold } from "./held.ts";
import type { Caller } from "./keys.ts";
import type { Prices } from "./prices.ts";
import { answerHeaders, callProvider, type ProviderCall, passBack } from "./provider.ts";
import { passStream, write } from "./stream.ts";
import { emptyReading, isFields, type Reading, type Surface, takeText, takeUsage } from "./surfaces/surface.ts";

export type ProxyDependencies = HoldDependencies & {
  prices: Prices;
  agent: Dispatcher;
  log: Logger;
  /** How long, and how many bytes, a provider is still read for a client that has left. */
  drain: { ms: number; bytes: number };
  /** Requests until all of them is done, their charge included, whether or not their client is still there. */
  work: Set<Promise<unknown>>;
  /** Calls to providers that are under way: `cut` ends them. */
  calls: Set<CallEnd>;
  /** Those of them whose client has left, the longest left first: of more than `maxInFlight` the first is ended. */
  left: Set<CallEnd>;
  maxInFlight: number;
  /** Aborts what is still running shortly before the process must end. */
  cut: AbortSignal;
};

/** How long a delivered answer's charge is asked again: while the client waits, and behind a stream that has ended. */
const waitForChargeMs = 5_000;
const chargeBehindMs = 300_000;

const noDrain = { ms: 0, bytes: 0 };

/** A call that is under way. */
type Call = PricedCall & {
  drainBytes: number;
  held: Held;
  upstream: ProviderCall;
  /** Ends the call to the provider. */
  abort: () => void;
  reply: FastifyReply;
};

export async function proxy(
  deps: ProxyDependencies,
  surface: Surface,
  caller: Caller,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  return await tracked(deps.work, serve(deps, surface, caller, request, reply));
}

async function serve(
  deps: ProxyDependencies,
  surface: Surface,
  caller: Caller,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  refuseDoubledHeaders(request);
  const body = readBody(request, surface.body);
  const id = requestIdOf(request, body.json.request_id);
  reply.header("x-request-id", headerValue(id.id));
  const { resolved, model, provider } = routed(deps.prices, surface, caller, body.json.model);
  const priced: PricedCall = { surface, caller, body, requestId: id.id, resolved, model };
  const sent = bodyForProvider(priced);
  const held = await hold(deps, priced);
  const drain = caller.limits.leavePolicy === "cut" ? noDrain : deps.drain;
  const lasting = callEnd(deps, reply, drain.ms);
  const upstream: ProviderCall = {
    agent: deps.agent,
    metrics: deps.metrics,
    provider,
    surface,
    headers: request.headers,
    body: sent,
    end: lasting.end,
  };
  const abort = () => lasting.end.end();
  const call: Call = { ...priced, drainBytes: drain.bytes, held, upstream, abort, reply };
  try {
    const answer = await callProvider(upstream);
    if (answer.events !== undefined) return await streamAnswer(deps, call, answer);
    if (answer.statusCode >= 300) return await refuseAsProvider(deps, call, answer);
    return await plainAnswer(deps, call, answer);
  } catch (error) {
    // Captured holds stay captured; all others are given back.
    await held.void();
    throw error;
  } finally {
    lasting.done();
  }
}

/** The price, and a provider that speaks the surface. */
function routed(prices: Prices, surface: Surface, caller: Caller, model: string) {
  const route = prices.route(caller, model);
  if (!surface.shapes.includes(route.provider.shape)) {
    const message = `The model ${JSON.stringify(model)} is not served at /v1${surface.path}.`;
    throw new GatewayError("model_not_priced", message);
  }
  return route;
}

/** Ends a call: when the process must, and some time after its client has left, or when too many have left since. */
function callEnd(deps: ProxyDependencies, reply: FastifyReply, drainMs: number): { end: CallEnd; done: () => void } {
  const end = new CallEnd();
  let timer: NodeJS.Timeout | undefined;
  const left = () => {
    timer = setTimeout(() => end.end(), drainMs);
    deps.left.add(end);
    const [longest] = deps.left;
    if (longest === undefined || deps.left.size <= deps.maxInFlight) return;
    deps.left.delete(longest);
    longest.end();
  };
  if (deps.cut.aborted) end.end();
  if (reply.raw.destroyed) left();
  reply.raw.once("close", left);
  deps.calls.add(end);
  return {
    end,
    done: () => {
      reply.raw.off("close", left);
      deps.calls.delete(end);
      deps.left.delete(end);
      clearTimeout(timer);
    },
  };
}

/** Written anew from what was priced: a body whose fields stand twice cannot mean one thing here and another at the provider. */
function bodyForProvider({ body, model, surface }: PricedCall): Buffer {
  const { request_id: _, ...rest } = asSent(body);
  try {
    return Buffer.from(JSON.stringify({ ...rest, model, ...surface.added(body.json) }));
  } catch (error) {
    throw new GatewayError("invalid_request", "The body is nested too deeply.", { cause: error });
  }
}

async function refuseAsProvider(deps: ProxyDependencies, call: Call, answer: PlainAnswer): Promise<FastifyReply> {
  deps.metrics.upstreamFailures.inc({ provider: call.upstream.provider.name, kind: String(answer.statusCode) });
  await call.held.void();
  return passBack(call.reply, call.upstream, answer);
}

async function plainAnswer(deps: ProxyDependencies, call: Call, answer: PlainAnswer): Promise<FastifyReply> {
  const reading = readPlain(call, answer.bytes);
  if (nothingGiven(reading)) {
    await call.held.void();
    return passBack(call.reply, call.upstream, answer);
  }
  // Nothing was given yet: when the charge cannot be made, nothing is.
  const charged = await capture(deps, call, reading, waitForChargeMs);
  call.reply.headers(chargeHeaders(charged));
  return passBack(call.reply, call.upstream, answer);
}

async function streamAnswer(deps: ProxyDependencies, call: Call, answer: EventAnswer): Promise<FastifyReply> {
  const { reply, surface, body } = call;
  const response = reply.raw;
  reply.hijack();
  reply.header("x-drawdown-deduction-id", call.held.holdId);
  const reading = await passStream({
    body: answer.events,
    response,
    writeHead: () =>
      response.writeHead(200, { ...stringHeaders(reply), ...answerHeaders(answer), "cache-control": "no-cache" }),
    readEvent: (sofar, event) => surface.readEvent(sofar, event, body.json),
    hideUsage: surface.hidesUsage(body.json),
    drainBytes: call.drainBytes,
    abort: call.abort,
  });
  if (response.destroyed) deps.metrics.drained.inc({ outcome: reading.ended ? "ended" : "given_up" });
  if (nothingGiven(reading)) await call.held.void();
  else await captureStream(deps, call, reading);
  if (reading.empty && reading.held.length === 0) return refuseBrokenStream(deps, call);
  if (reading.empty && !response.headersSent && !response.destroyed)
    response.writeHead(200, { ...stringHeaders(reply), ...answerHeaders(answer), "cache-control": "no-cache" });
  for (const event of reading.held) await write(response, event);
  if (!reading.ended && reading.held.length === 0) await write(response, brokenOff(deps, call));
  response.end();
  return reply;
}

/** Not one event came through: nothing was given, and the answer can still be an error. */
function refuseBrokenStream(deps: ProxyDependencies, call: Call): FastifyReply {
  const { reply } = call;
  const error = new GatewayError(
    "upstream_error",
    "The provider broke off before its first word. Nothing was charged.",
  );
  const failed = errorReply(error, `/v1${call.surface.path}`);
  reply.removeHeader("x-drawdown-deduction-id");
  if (!reply.raw.destroyed)
    reply.raw.writeHead(failed.status, { ...stringHeaders(reply), "content-type": "application/json" });
  reply.raw.end(JSON.stringify(failed.body));
  deps.metrics.upstreamFailures.inc({ provider: call.upstream.provider.name, kind: "broken_off" });
  return reply;
}

/** Charges a stream before its end mark is sent; when billing is away for long, behind the stream's back. */
async function captureStream(deps: ProxyDependencies, call: Call, reading: Reading): Promise<void> {
  const charging = tracked(deps.work, captureBehind(deps, call, reading));
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, waitForChargeMs);
  await Promise.race([charging, late.promise]);
  clearTimeout(timer);
}

/** The client has its answer: whatever goes wrong now is ours, and on record. Never rejects. */
async function captureBehind(deps: ProxyDependencies, call: Call, reading: Reading): Promise<void> {
  try {
    await capture(deps, call, reading, chargeBehindMs);
  } catch (error) {
    deps.metrics.uncharged.inc({ reason: error instanceof GatewayError ? error.code : "billing_unavailable" });
    const { usage, textLength, ended } = reading;
    const seen = { model: call.model, usage, textLength, whole: ended };
    const whose = { account: call.caller.account.id, request_id: call.requestId, hold_id: call.held.holdId };
    deps.log.error({ err: error, ...whose, ...seen }, "delivered and not charged");
  }
}

async function capture(deps: ProxyDependencies, call: Call, reading: Reading, giveUpMs: number): Promise<Charged> {
  const charge = await chargeFor(call, reading);
  const answers = call.surface.answers(call.body.json);
  if (charge.usageSource === "provider" && call.surface.outputLimit(call.body.json) !== 0)
    deps.sizes.learn(call.caller.virtualKey, call.model, Math.ceil(charge.outputTokens / answers));
  return await call.held.capture(charge, { giveUpMs, cut: deps.cut });
}

function tracked<T>(work: Set<Promise<unknown>>, promise: Promise<T>): Promise<T> {
  const tracking = promise.finally(() => work.delete(tracking));
  work.add(tracking);
  return tracking;
}

/** What is no JSON has no usage, and all of it is taken for text. */
function readPlain(call: Call, bytes: Buffer): Reading {
  const reading: Reading = { ...emptyReading(), ended: true };
  const text = bytes.toString("utf8");
  try {
    const answer: unknown = JSON.parse(text);
    const fields = isFields(answer) ? answer : {};
    const { usage, output } = call.surface.readPlain(fields);
    // Some say with status 200 that they failed.
    reading.ended = takeUsage(reading, usage) || !isFields(fields["error"]);
    if (!reading.outputKnown) takeText(reading, output);
  } catch {
    takeText(reading, text);
  }
  return reading;
}

/** The end of a stream that did not come whole. */
function brokenOff(deps: ProxyDependencies, call: Call): Buffer {
  deps.metrics.upstreamFailures.inc({ provider: call.upstream.provider.name, kind: "broken_off" });
  const error = new GatewayError("upstream_error", "The provider broke off. What came is charged.");
  const { body } = errorReply(error, `/v1${call.surface.path}`);
  return Buffer.from(`${call.surface.namesEvents ? "event: error\n" : ""}data: ${JSON.stringify(body)}\n\n`);
}

function stringHeaders(reply: FastifyReply): Record<string, string> {
  return Object.fromEntries(Object.entries(reply.getHeaders()).map(([header, value]) => [header, String(value)]));
}
