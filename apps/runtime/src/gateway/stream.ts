/**
 * A streamed answer on its way to the client: events go on byte for byte as they come, and are read beside for what billing needs. The
 * usage event that we asked for and the client did not is left out, and the end mark waits until the charge is on record, so that a
 * client that saw the end finds its balance drawn down.
 */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { dataOf, EventCutter } from "./events.ts";

export type StreamReading = {
  /** How the provider ended: with its end mark or a finish reason, or broken off. */
  ended: boolean;
  /** The `usage` object, when one came. */
  usage: unknown;
  /** Of the answer's text, as far as it came: for counting when usage did not come. */
  textLength: number;
  textChunks: number;
  /** Events that wait for the charge. */
  held: Buffer[];
  /** Nothing was sent to the client yet. */
  empty: boolean;
};

export type StreamPassing = {
  body: AsyncIterable<Uint8Array>;
  response: ServerResponse;
  /** Called once, before the first byte. */
  writeHead: () => void;
  hideUsage: boolean;
};

/** Passes events on until the provider ends or breaks off, or the client leaves. Never throws for those; they are in the reading. */
export async function passStream(passing: StreamPassing): Promise<StreamReading> {
  const reading: StreamReading = {
    ended: false,
    usage: undefined,
    textLength: 0,
    textChunks: 0,
    held: [],
    empty: true,
  };
  const cutter = new EventCutter();
  const pass = async (event: Buffer): Promise<void> => {
    const kind = readEvent(reading, event);
    if (kind === "end" || reading.held.length > 0) reading.held.push(event);
    else if (kind !== "usage" || !passing.hideUsage) {
      if (reading.empty) passing.writeHead();
      reading.empty = false;
      await write(passing.response, event);
    }
  };
  try {
    for await (const chunk of passing.body) for (const event of cutter.push(chunk)) await pass(event);
    const rest = cutter.rest();
    if (rest.length > 0) await pass(rest);
  } catch {
    // The provider broke off, or the client left and the call was aborted. `ended` says whether all had come before.
  }
  return reading;
}

/** Writes with back-pressure: a client that reads slowly slows the provider down, not fills our memory. */
export async function write(response: ServerResponse, bytes: Buffer): Promise<void> {
  if (response.destroyed || response.writableEnded) return;
  if (response.write(bytes)) return;
  const gone = new AbortController();
  const left = () => gone.abort();
  response.once("close", left);
  await once(response, "drain", { signal: gone.signal }).catch(() => undefined);
  response.off("close", left);
}

type Chunk = {
  choices?: { delta?: Record<string, unknown>; finish_reason?: unknown }[];
  usage?: unknown;
  error?: unknown;
};

function readEvent(reading: StreamReading, event: Buffer): "end" | "usage" | "other" {
  const data = dataOf(event);
  if (data === undefined) return "other";
  if (data === "[DONE]") {
    reading.ended = true;
    return "end";
  }
  const chunk = parse(data);
  if (chunk === undefined) return "other";
  const choices = Array.isArray(chunk.choices) ? chunk.choices : [];
  for (const choice of choices) {
    const length = textLength(choice?.delta);
    reading.textLength += length;
    if (length > 0) reading.textChunks += 1;
    if (choice?.finish_reason != null) reading.ended = true;
  }
  if (chunk.usage === undefined || chunk.usage === null) return "other";
  reading.usage = chunk.usage;
  // Providers that put usage beside the last text are passed on whole.
  return choices.length === 0 ? "usage" : "other";
}

function parse(data: string): Chunk | undefined {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** All text of a delta, tool calls and reasoning included: what a provider counts as output. */
function textLength(value: unknown, field = ""): number {
  if (typeof value === "string") return ["role", "id", "type"].includes(field) ? 0 : value.length;
  if (typeof value !== "object" || value === null) return 0;
  return Object.entries(value).reduce((sum, [name, part]) => sum + textLength(part, name), 0);
}
