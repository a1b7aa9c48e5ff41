/**
 * A simulated provider over real HTTP: OpenAI's chat completions, responses, embeddings and models, Anthropic's messages, plain and
 * streaming. It keeps what it received (`GET /requests`), so that a test can show what never reached a provider, or not twice.
 */
import { createHash } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { type Health, healthRoutes } from "../health.ts";
import { type Asked, answer, type Behaviour, countTokens, embed, readBehaviour, textOf } from "./answer.ts";
import { chat, messages, openaiError, responses, type Shape, type StreamEvent } from "./shapes.ts";

export type ReceivedRequest = {
  at: string;
  method: string;
  path: string;
  /** Keys (`authorization`, `x-api-key`) stand as `sha256:<hex>`: they can be compared and not read. */
  headers: Record<string, string | string[] | undefined>;
  model: unknown;
  bodySha256: string;
  /** Set when the caller hung up before it had the whole answer. */
  aborted: boolean;
};

const keptRequests = 1_000;
const bodyLimitBytes = 64 * 1024 * 1024;
const models = ["gpt-4o", "gpt-4o-mini", "o3-mini", "text-embedding-3-small", "claude-sonnet-4-6"];

/** The server, not yet listening. `stopping` ends what hangs or waits, so that closing never takes longer than one answer. */
export function upstreamServer(health: Health, stopping: AbortSignal): FastifyInstance {
  const app = Fastify({ logger: false, bodyLimit: bodyLimitBytes, forceCloseConnections: "idle" });
  const received: ReceivedRequest[] = [];
  let count = 0;

  app.removeContentTypeParser("application/json");
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  healthRoutes(app, health);

  app.get("/requests", () => ({ count, requests: received }));
  app.delete("/requests", () => {
    received.length = 0;
    count = 0;
    return { count };
  });
  app.get("/v1/models", () => ({
    object: "list",
    data: models.map((id) => ({ id, object: "model", created: 1_700_000_000, owned_by: "upstream" })),
  }));

  const record = (request: FastifyRequest, reply: FastifyReply, asked: Asked | undefined): void => {
    const entry: ReceivedRequest = {
      at: new Date().toISOString(),
      method: request.method,
      path: request.url,
      headers: withHashedKeys(request.headers),
      model: asked?.model ?? null,
      bodySha256: createHash("sha256").update(bytesOf(request)).digest("hex"),
      aborted: false,
    };
    count += 1;
    received.push(entry);
    if (received.length > keptRequests) received.shift();
    reply.raw.once("close", () => {
      entry.aborted = !reply.raw.writableFinished;
    });
  };

  const route = (path: string, shape: Shape): void => {
    app.post(path, async (request, reply) => {
      const asked = parse(request);
      record(request, reply, asked);
      if (asked === undefined) return reply.code(400).send(shape.error(400));
      const behaviour = readBehaviour(header(request, "x-upstream-behaviour"), textOf(asked));
      if (!(await begin(reply, behaviour, shape.error, stopping))) return reply;
      if (asked["stream"] === true) return stream(reply, shape, asked, behaviour, stopping);
      return plain(reply, shape.plain(answer(asked, behaviour)), behaviour);
    });
  };
  route("/v1/chat/completions", chat);
  route("/v1/responses", responses);
  route("/v1/messages", messages);

  app.post("/v1/embeddings", async (request, reply) => {
    const asked = parse(request);
    record(request, reply, asked);
    if (asked === undefined) return reply.code(400).send(openaiError(400));
    const behaviour = readBehaviour(header(request, "x-upstream-behaviour"), textOf(asked));
    if (!(await begin(reply, behaviour, openaiError, stopping))) return reply;
    return plain(reply, embeddings(asked, behaviour), behaviour);
  });
  return app;
}

/** Waits, hangs or fails as wished. False: the reply is done with, nothing more is to be sent. */
async function begin(
  reply: FastifyReply,
  behaviour: Behaviour,
  error: Shape["error"],
  stopping: AbortSignal,
): Promise<boolean> {
  const gone = AbortSignal.any([stopping, closed(reply)]);
  if (behaviour.hang) {
    reply.hijack();
    await aborted(gone);
    reply.raw.destroy();
    return false;
  }
  if (behaviour.slowMs > 0) await wait(behaviour.slowMs, undefined, { signal: gone }).catch(() => undefined);
  if (behaviour.quietly) {
    await reply.send(error(500));
    return false;
  }
  if (behaviour.status === undefined) return true;
  if (behaviour.status === 429) reply.header("retry-after", "1");
  await reply.code(behaviour.status).send(error(behaviour.status));
  return false;
}

function plain(reply: FastifyReply, body: Record<string, unknown>, behaviour: Behaviour): FastifyReply {
  if (behaviour.cutAfter === undefined) return reply.send(body);
  const text = JSON.stringify(body);
  reply.hijack();
  reply.raw.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
  reply.raw.write(text.slice(0, text.length / 2), () => reply.raw.destroy());
  return reply;
}

async function stream(
  reply: FastifyReply,
  shape: Shape,
  asked: Asked,
  behaviour: Behaviour,
  stopping: AbortSignal,
): Promise<FastifyReply> {
  const options = asked["stream_options"] as { include_usage?: unknown } | undefined;
  const gone = AbortSignal.any([stopping, closed(reply)]);
  reply.hijack();
  reply.raw.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  let texts = 0;
  for (const event of shape.events(answer(asked, behaviour), options?.include_usage === true)) {
    if (reply.raw.destroyed) return reply;
    if (event.text && texts >= (behaviour.cutAfter ?? Number.POSITIVE_INFINITY)) {
      reply.raw.destroy();
      return reply;
    }
    if (event.text && texts >= (behaviour.failAfter ?? Number.POSITIVE_INFINITY)) {
      reply.raw.end(lines({ ...(event.event && { event: "error" }), data: JSON.stringify(shape.error(529)) }));
      return reply;
    }
    if (event.text && texts >= (behaviour.stallAfter ?? Number.POSITIVE_INFINITY)) {
      await aborted(gone);
      reply.raw.destroy();
      return reply;
    }
    if (behaviour.paceMs > 0) await wait(behaviour.paceMs, undefined, { signal: gone }).catch(() => undefined);
    // Written one by one, so that `cut` never takes back what was sent before it.
    await new Promise<void>((resolve) => reply.raw.write(lines(event), () => resolve()));
    if (event.text) texts += 1;
  }
  if (behaviour.linger) await aborted(gone);
  reply.raw.end();
  return reply;
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

function lines(event: Pick<StreamEvent, "event" | "data">): string {
  return `${event.event === undefined ? "" : `event: ${event.event}\n`}data: ${event.data}\n\n`;
}

function embeddings(asked: Asked, behaviour: Behaviour): Record<string, unknown> {
  const inputs = Array.isArray(asked["input"]) ? asked["input"] : [asked["input"]];
  const dimensions = typeof asked["dimensions"] === "number" ? asked["dimensions"] : 16;
  const data = inputs.map((input, index) => {
    const vector = embed(textOf(input), dimensions);
    const embedding =
      asked["encoding_format"] === "base64" ? Buffer.from(new Float32Array(vector).buffer).toString("base64") : vector;
    return { object: "embedding", index, embedding };
  });
  const tokens =
    behaviour.usage === "zero" ? 0 : inputs.reduce((sum: number, input) => sum + countTokens(textOf(input)), 0);
  const usage = behaviour.usage === "none" ? {} : { usage: { prompt_tokens: tokens, total_tokens: tokens } };
  return { object: "list", data, model: asked.model, ...usage };
}

function bytesOf(request: FastifyRequest): Buffer {
  return Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
}

function parse(request: FastifyRequest): Asked | undefined {
  try {
    const body: unknown = JSON.parse(bytesOf(request).toString("utf8"));
    return typeof body === "object" && body !== null ? (body as Asked) : undefined;
  } catch {
    return undefined;
  }
}

function header(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === "string" ? value : undefined;
}

function withHashedKeys(headers: FastifyRequest["headers"]): ReceivedRequest["headers"] {
  const hashed: ReceivedRequest["headers"] = { ...headers };
  for (const name of ["authorization", "x-api-key"]) {
    const value = headers[name];
    if (typeof value === "string") hashed[name] = `sha256:${createHash("sha256").update(value).digest("hex")}`;
  }
  return hashed;
}

function closed(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once("close", () => controller.abort());
  return controller.signal;
}
