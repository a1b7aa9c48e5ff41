/**
 * What the gateway must know of one of the providers' APIs to serve it: everything else about a proxied call is the same for all. A
 * surface reads; it never changes what it reads, so that fields nobody here knows of pass through in both directions.
 */
import { z } from "zod";
import { plainText } from "../body.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** What every body must have or may have; all else in it is the provider's to judge. */
export const proxiedBody = z.looseObject({
  model: plainText,
  stream: z.boolean().nullish(),
  request_id: plainText.optional(),
});
export type ProxiedBody = z.infer<typeof proxiedBody>;

/** A limit on output. The provider knows better which are too small. */
export const tokenLimit = z.number().int().min(1).max(1e9).nullish();

/** What is known of an answer, as far as it has come. */
export type Reading = {
  /** All of it came: nothing that is charged can follow. */
  ended: boolean;
  /** The provider's usage object, its parts merged; undefined when it said none. */
  usage: Fields | undefined;
  /** `usage` covers the output too. */
  outputKnown: boolean;
  /** Text that the provider counts as output: of messages, tool calls, reasoning. Kept for counting, up to a limit. */
  text: string[];
  /** All of its characters, those that are not kept included. */
  textLength: number;
  /** What one surface alone has to remember from event to event: which of its answers have ended. */
  finished: Set<number>;
};

/** `end`: the mark after which a client takes the answer for whole. `usage`: nothing but usage. */
export type EventKind = "end" | "usage" | "other";

export type Surface = {
  /** Below the version, here and at the provider. */
  path: string;
  /** The shapes of the providers that serve it. */
  shapes: readonly ("openai" | "anthropic")[];
  body: z.ZodType<ProxiedBody>;
  keyHeaders: (key: string) => Record<string, string>;
  /** What is sent when the client does not say it himself. */
  defaultHeaders?: Record<string, string>;
  /** Fields that the provider gets beside the client's own, in their place. */
  added: (body: Fields) => Fields;
  /** The client did not ask for what `added` asks for. */
  hidesUsage: (body: Fields) => boolean;
  /** The fields of a body that the model reads. */
  prompt: readonly string[];
  /** The limit that a body sets for each answer. 0: there is no output to count. Undefined: it sets none. */
  outputLimit: (body: Fields) => number | undefined;
  /** Answers asked for at once. */
  answers: (body: Fields) => number;
  /** Where a plain answer has its usage and what counts as output. */
  readPlain: (answer: Fields) => { usage: unknown; output: unknown };
  /** A stream's events have names beside their data. */
  namesEvents: boolean;
  /** Takes note of one event of a stream. `asked` is the request's body. */
  readEvent: (reading: Reading, event: Fields, asked: Fields) => EventKind;
};

/** Enough to count from; an answer's rest is counted by its length. */
const keptTextLength = 256 * 1024;

export function emptyReading(): Reading {
  return { ended: false, usage: undefined, outputKnown: false, text: [], textLength: 0, finished: new Set() };
}

/** Fields of an output that are no text of the model's. */
const notText = new Set(["role", "id", "type", "status", "signature", "encrypted_content", "call_id", "item_id"]);

/** Takes all text of a part of an answer, however deep it stands. */
export function takeText(reading: Reading, value: unknown): void {
  if (typeof value === "string") {
    if (reading.textLength < keptTextLength && value.length > 0) reading.text.push(value);
    reading.textLength += value.length;
  } else if (typeof value === "object" && value !== null) {
    for (const [name, part] of Object.entries(value)) if (!notText.has(name)) takeText(reading, part);
  }
}

/** Usage may come in parts (Anthropic's does): what came later goes before, what it leaves out stays. */
export function takeUsage(reading: Reading, usage: unknown, outputKnown = true): boolean {
  if (!isFields(usage)) return false;
  reading.outputKnown = outputKnown;
  const said = Object.fromEntries(Object.entries(usage).filter(([, value]) => value != null));
  reading.usage = { ...reading.usage, ...said };
  return true;
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function bearer(key: string): Record<string, string> {
  return { authorization: `Bearer ${key}` };
}

/** The largest of some limits: which of them the provider obeys is its own affair. */
export function largest(...limits: unknown[]): number | undefined {
  const numbers = limits.filter((limit) => typeof limit === "number");
  return numbers.length === 0 ? undefined : Math.max(...numbers);
}
