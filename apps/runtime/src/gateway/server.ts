/**
 * The gateway: key → price → charge. Every route below /v1 knows its caller before it reads a body; every refusal has the shape of
 * errors.ts; nothing is logged for a request that went as it should.
 */
import { randomUUID } from "node:crypto";
import { type Billing, BillingError, formatUnits, type HoldPolicy, readBalance } from "@drawdown/billing";
import type { VirtualKeyRow } from "@drawdown/db";
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { Dispatcher } from "undici";
import { healthRoutes } from "../health.ts";
import { type InFlight, trackInFlight } from "../in-flight.ts";
import type { Logger } from "../log.ts";
import type { CallEnd } from "./answer.ts";
import { headerValue, plainText } from "./body.ts";
import { postCharge } from "./charges.ts";
import { errorReply, GatewayError } from "./errors.ts";
import { HoldSizes } from "./hold-size.ts";
import { deleteHold, postCapture, postHold } from "./holds.ts";
import { authenticate, type Caller } from "./keys.ts";
import { requireRate, requireRoom } from "./limits.ts";
import type { Memory } from "./memory.ts";
import { type GatewayMetrics, measureInFlight } from "./metrics.ts";
import type { Prices } from "./prices.ts";
import { type ProxyDependencies, proxy } from "./proxy.ts";
import type { Refusals } from "./refusals.ts";
import { chat } from "./surfaces/chat.ts";
import { embeddings } from "./surfaces/embeddings.ts";
import { messages } from "./surfaces/messages.ts";
import { responses } from "./surfaces/responses.ts";
import { refuseUnreadable } from "./unreadable.ts";

/** The longest body that is read, in bytes: room for images, far from what would stop the process. */
const bodyLimitBytes = 16 * 1024 * 1024;

/** How long a request may take to arrive, its body included. */
const requestTimeoutMs = 120_000;

export type GatewayDependencies = {
  billing: Billing;
  keys: Memory<VirtualKeyRow>;
  prices: Prices;
  refusals: Refusals;
  agent: Dispatcher;
  metrics: GatewayMetrics;
  log: Logger;
  /** Aborts when the process is to stop: not ready any more, while what is in flight is finished. */
  stopping: AbortSignal;
  cut: AbortSignal;
  holdPolicy: HoldPolicy;
  maxInFlight: number;
  drain: ProxyDependencies["drain"];
};

/** `work` goes on without a response: a stop waits for it too. */
export type Gateway = { app: FastifyInstance; inFlight: InFlight; work: ReadonlySet<Promise<unknown>> };

declare module "fastify" {
  interface FastifyRequest {
    /** Set for every route below /v1 before its body is read. */
    caller: Caller | undefined;
  }
}

/** The server, not yet listening. */
export function gatewayServer(deps: GatewayDependencies): Gateway {
  const app = Fastify({
    logger: false,
    bodyLimit: bodyLimitBytes,
    genReqId: () => `req_${randomUUID()}`,
    requestTimeout: requestTimeoutMs,
    forceCloseConnections: "idle",
    return503OnClosing: false,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 1_024 },
    clientErrorHandler: refuseUnreadable,
    frameworkErrors: (error, request, reply) => sendError(reply, error, request.url),
  });
  const inFlight = trackInFlight(app);
  measureInFlight(deps.metrics.registry, inFlight.count);
  const work = new Set<Promise<unknown>>();
  const calls = new Set<CallEnd>();
  deps.cut.addEventListener("abort", () => {
    for (const call of calls) call.end();
  });
  const proxyDeps: ProxyDependencies = { ...deps, sizes: new HoldSizes(), work, calls, left: new Set() };

  app.decorateRequest("caller", undefined);
  app.removeAllContentTypeParsers();
  // What is sent mostly stands beside the rest: Fastify finds a parser by its name without taking the header apart.
  for (const type of ["application/json", "*"])
    app.addContentTypeParser(type, { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  app.addHook("onRequest", (request, reply, done) => {
    nameRequest(request, reply);
    measure(deps.metrics, request, reply);
    done();
  });
  healthRoutes(app, { registry: deps.metrics.registry, checks: () => checks(deps) });
  refuse(app, deps);

  app.register((routes, _options, done) => {
    routes.addHook("onRequest", async (request) => {
      requireRoom(inFlight.count(), deps.maxInFlight, request);
      request.caller = await authenticate(deps.keys, request.headers, new Date());
      await requireRate(deps.billing, request.caller, request);
    });
    for (const surface of [chat, responses, messages, embeddings])
      routes.post(`/v1${surface.path}`, (request, reply) =>
        proxy(proxyDeps, surface, callerOf(request), request, reply),
      );
    routes.post("/v1/charges", (request, reply) => postCharge(deps, callerOf(request), request, reply));
    routes.post("/v1/holds", (request, reply) => postHold(deps, callerOf(request), request, reply));
    routes.post("/v1/holds/:id/capture", (request, reply) => postCapture(deps, callerOf(request), request, reply));
    routes.delete("/v1/holds/:id", (request, reply) => deleteHold(deps, callerOf(request), request, reply));
    routes.get("/v1/balance", (request) => getBalance(deps.billing, callerOf(request)));
    routes.get("/v1/models", (request) => getModels(deps.prices, callerOf(request)));
    done();
  });
  return { app, inFlight, work };
}

async function getBalance(billing: Billing, caller: Caller) {
  const balance = await readBalance(billing, caller.account);
  if (balance === undefined) throw new GatewayError("invalid_api_key", "The API key is not valid.");
  return {
    currency: balance.currency,
    balance: formatUnits(balance.balanceNanos),
    held: formatUnits(balance.heldNanos),
    available: formatUnits(balance.availableNanos),
    overdue_amount: formatUnits(balance.overdueNanos),
  };
}

function getModels(prices: Prices, caller: Caller) {
  const data = prices.models(caller).map(({ id, ownedBy, created }) => ({
    id,
    object: "model",
    created: Math.floor(created.getTime() / 1000),
    owned_by: ownedBy,
  }));
  return { object: "list", data };
}

/** Ready is: able to charge. Postgres down makes no difference to accounts and keys that are known. */
async function checks(deps: GatewayDependencies): Promise<Record<string, string>> {
  const process = deps.stopping.aborted ? "stopping" : "ok";
  try {
    await deps.billing.fence.token(0);
    await deps.billing.ask((redis) => redis.ping());
    return { process, billing: "ok" };
  } catch (error) {
    return { process, billing: error instanceof BillingError ? error.publicMessage : "cannot be asked" };
  }
}

/** Every answer says what its request is called: as the client named it, else as we do. */
function nameRequest(request: FastifyRequest, reply: FastifyReply): void {
  const given = request.headers["idempotency-key"];
  const named = typeof given === "string" && plainText.safeParse(given).success ? given : request.id;
  reply.header("x-request-id", headerValue(named));
}

function measure(metrics: GatewayMetrics, request: FastifyRequest, reply: FastifyReply): void {
  const route = request.routeOptions.url ?? "unknown";
  const end = metrics.requestSeconds.startTimer({ route });
  reply.raw.once("close", () => {
    end();
    metrics.requests.inc({ route, status: String(reply.raw.statusCode) });
  });
}

function refuse(app: FastifyInstance, { log, refusals }: GatewayDependencies): void {
  app.setErrorHandler((error, request, reply) => {
    if (error instanceof GatewayError && error.refused && request.caller) refusals.add(request.caller, error.refused);
    // Fastify closes the connection on a body it did not read. A client that is still sending would see a broken pipe instead of
    // the answer: what it sends is read and thrown away, for as long as a request may take.
    reply.removeHeader("connection");
    sendError(reply, error, request.url);
    // A client's mistake is the client's to see; ours and the world's are the operator's too.
    if (reply.statusCode >= 500)
      log.warn({ err: error, route: request.routeOptions.url, request_id: request.id }, "refused");
  });
  app.setNotFoundHandler((request, reply) => {
    const error = new GatewayError("not_found", `There is no ${request.method} ${request.url.split("?")[0]} here.`);
    sendError(reply, error, request.url);
  });
}

function sendError(reply: FastifyReply, error: unknown, path: string): void {
  const { status, headers, body } = errorReply(error, path);
  reply.code(status).headers(headers).send(body);
}

function callerOf(request: FastifyRequest): Caller {
  if (request.caller === undefined) throw new Error("a route below /v1 was reached without its caller");
  return request.caller;
}
