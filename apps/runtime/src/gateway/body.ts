/** The body of a request: its exact bytes (a digest of them tells a repeat from a conflict), its JSON, and its request id. */
import { hash } from "node:crypto";
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { GatewayError } from "./errors.ts";

export type Body<T> = {
  bytes: Buffer;
  /** As it was parsed, before it was checked. */
  parsed: unknown;
  json: T;
  /** SHA-256 of the bytes, hex. */
  digest: string;
};

const maxIdLength = 512;

/** Names of models and providers, and ids of requests: they become parts of stream entries and of a Redis key. */
export const plainText = z
  .string()
  .min(1, "must not be empty")
  .max(maxIdLength, `must have at most ${maxIdLength} characters`)
  .regex(/^\P{Cc}+$/u, "must have no control characters")
  .refine((text) => text.isWellFormed(), "must be well-formed text");

/** Parses and checks a body. Throws `invalid_request` that names the first field that is wrong. */
export function readBody<T>(request: FastifyRequest, schema: z.ZodType<T>): Body<T> {
  const bytes = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const parsed = parseJson(bytes);
  const checked = schema.safeParse(parsed, { reportInput: false });
  if (!checked.success) {
    const issue = checked.error.issues[0];
    const field =
      issue === undefined || issue.path.length === 0 ? "The body" : `\`${issue.path.map(String).join(".")}\``;
    throw new GatewayError("invalid_request", `${field} is not valid: ${issue?.message ?? "it does not fit"}.`);
  }
  return { bytes, parsed, json: checked.data, digest: hash("sha256", bytes, "hex") };
}

/** What TypeScript does not know yet of JSON: a number's own text, read and written. */
type Reviver = (name: string, value: unknown, context: { source?: string }) => unknown;
const json = JSON as unknown as {
  parse: (text: string, revive?: Reviver) => unknown;
  rawJSON: (text: string) => unknown;
};

function parseJson(bytes: Buffer, revive?: Reviver): unknown {
  try {
    return json.parse(bytes.toString("utf8"), revive);
  } catch {
    throw new GatewayError("invalid_request", "The body is not JSON.");
  }
}

/** Numbers that a double may not hold: many digits, or an exponent. */
const longNumber = /\d{16}|\d[eE]/;

/**
 * A body as it was sent, to be written anew: fields in their order, and numbers with all their digits (a tool's schema may name the
 * largest of 64 bits; only then it is parsed again). To be read is the parsed body, not this.
 */
export function asSent({ bytes, parsed }: Body<unknown>): Record<string, unknown> {
  if (!longNumber.test(bytes.toString("latin1"))) return parsed as Record<string, unknown>;
  const exact: Reviver = (_name, value, { source }) =>
    typeof value === "number" && source !== undefined ? json.rawJSON(source) : value;
  return parseJson(bytes, exact) as Record<string, unknown>;
}

/** Two keys or two request ids in one request could mean one thing here and another to whoever wrote the log. */
const onlyOnce = new Set(["authorization", "x-api-key", "idempotency-key", "content-type", "anthropic-version"]);

/** Throws `invalid_request` when a header that decides who pays or what is a repeat stands twice. */
export function refuseDoubledHeaders(request: FastifyRequest): void {
  const seen = new Set<string>();
  const { rawHeaders } = request.raw;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]?.toLowerCase() ?? "";
    if (!onlyOnce.has(name)) continue;
    if (seen.has(name)) throw new GatewayError("invalid_request", `The header ${name} stands twice.`);
    seen.add(name);
  }
}

/** `Idempotency-Key` and `request_id` are the same thing; two that differ would make it unclear what is a repeat. */
export function requestIdOf(request: FastifyRequest, fromBody: string | undefined): { id: string; given: boolean } {
  const header = request.headers["idempotency-key"];
  const fromHeader = typeof header === "string" && header !== "" ? header : undefined;
  if (fromHeader !== undefined && !plainText.safeParse(fromHeader).success) {
    throw new GatewayError("invalid_request", `The Idempotency-Key must have 1 to ${maxIdLength} characters of text.`);
  }
  if (fromHeader !== undefined && fromBody !== undefined && fromHeader !== fromBody) {
    throw new GatewayError("invalid_request", "Idempotency-Key and `request_id` name different requests.");
  }
  const given = fromHeader ?? fromBody;
  return { id: given ?? request.id, given: given !== undefined };
}

/** A text that may stand in a header as it is, or percent-encoded. */
export function headerValue(text: string): string {
  return /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(text) ? text : encodeURIComponent(text);
}
