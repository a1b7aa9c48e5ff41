/**
 * A streamed answer on its way to the client: events go on byte for byte as they come, and are read beside for what billing needs. The
 * usage event that we asked for and the client did not is left out, and the end mark waits until the charge is on record, so that a
 * client that saw the end finds its balance drawn down. When the client leaves, reading goes on for a while: only the provider knows what
 * the call used, and it says so at the end.
 */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { dataOf, EventCutter } from "./events.ts";
import { type EventKind, emptyReading, type Fields, isFields, type Reading } from "./surfaces/surface.ts";

export type StreamReading = Reading & {
  /** Events that wait for the charge. */
  held: Buffer[];
  /** Nothing was sent to the client. */
  empty: boolean;
};

export type StreamPassing = {
  body: AsyncIterable<Uint8Array>;
  response: ServerResponse;
  /** Called once, before the first byte. */
  writeHead: () => void;
  readEvent: (reading: Reading, event: Fields) => EventKind;
  hideUsage: boolean;
  /** How many bytes are still read for a client that has left. */
  drainBytes: number;
  /** Ends the call to the provider. */
  abort: () => void;
};

/** After its end mark a provider closes the stream, or is cut: the client waits for what is held back. */
const closeWithinMs = 1_000;

/** A client that takes nothing for so long has left, whatever its connection says. */
const stalledMs = 60_000;

/** Passes events on until the provider ends or breaks off. Never throws for that, nor for a client that leaves; it is in the reading. */
export async function passStream(passing: StreamPassing): Promise<StreamReading> {
  const { response } = passing;
  const reading: StreamReading = { ...emptyReading(), held: [], empty: true };
  const cutter = new EventCutter();
  let drained = 0;
  let closing: NodeJS.Timeout | undefined;
  const pass = async (event: Buffer): Promise<void> => {
    const kind = readEvent(passing, reading, event);
    if (kind === "end") closing ??= setTimeout(passing.abort, closeWithinMs);
    if (kind === "end" || reading.held.length > 0) reading.held.push(event);
    else if (kind !== "usage" || !passing.hideUsage) {
      if (reading.empty && !response.destroyed) passing.writeHead();
      reading.empty = false;
      await write(response, event);
    }
  };
  try {
    for await (const chunk of passing.body) {
      for (const event of cutter.push(chunk)) await pass(event);
      if (response.destroyed) drained += chunk.length;
      if (drained > passing.drainBytes) return reading;
    }
    const rest = cutter.rest();
    if (rest.length > 0) await pass(rest);
  } catch {
    // The provider broke off, or the call was cut. `ended` says whether all had come before.
  } finally {
    clearTimeout(closing);
  }
  return reading;
}

/** Writes with back-pressure: a client that reads slowly slows the provider down, not fills our memory. */
export async function write(response: ServerResponse, bytes: Buffer): Promise<void> {
  if (response.destroyed || response.writableEnded) return;
  if (response.write(bytes)) return;
  const over = new AbortController();
  const left = () => over.abort();
  const stalled = setTimeout(() => response.destroy(), stalledMs);
  response.once("close", left);
  await once(response, "drain", { signal: over.signal }).catch(() => undefined);
  response.off("close", left);
  clearTimeout(stalled);
}

function readEvent(passing: StreamPassing, reading: Reading, event: Buffer): EventKind {
  const data = dataOf(event);
  if (data === undefined) return "other";
  if (data === "[DONE]") {
    reading.ended = true;
    return "end";
  }
  const fields = parse(data);
  return fields === undefined ? "other" : passing.readEvent(reading, fields);
}

function parse(data: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(data);
    return isFields(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
