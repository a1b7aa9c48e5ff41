/**
 * Server-sent events as bytes: cut where the provider cut them and passed on unchanged, so that a client sees what the provider sent.
 * An event is looked into only for what billing needs.
 */

/** An event longer than this is passed on unread: memory stays bounded whatever a provider sends. */
const maxEventBytes = 8 * 1024 * 1024;

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

/** Collects bytes and gives back whole events, their blank line included. */
export class EventCutter {
  #rest: Buffer = Buffer.alloc(0);
  /** Where the search for the end of the event goes on: bytes before it were looked at already. */
  #searchedTo = 0;

  /** The events that these bytes complete, in order. */
  push(bytes: Uint8Array): Buffer[] {
    this.#rest = this.#rest.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#rest, bytes]);
    const events: Buffer[] = [];
    for (let end = this.#endOfEvent(); end !== undefined; end = this.#endOfEvent()) {
      events.push(this.#rest.subarray(0, end));
      this.#rest = this.#rest.subarray(end);
      this.#searchedTo = 0;
    }
    if (this.#rest.length > maxEventBytes) events.push(this.rest());
    return events;
  }

  /** What is left at the end of the stream: an event without its blank line, or nothing. */
  rest(): Buffer {
    const rest = this.#rest;
    this.#rest = Buffer.alloc(0);
    this.#searchedTo = 0;
    return rest;
  }

  /** The place after the first blank line (`\n\n`, `\r\n\r\n` or `\r\r`). */
  #endOfEvent(): number | undefined {
    const bytes = this.#rest;
    for (let at = this.#searchedTo; at < bytes.length - 1; at += 1) {
      if (bytes[at] === lineFeed && bytes[at + 1] === lineFeed) return at + 2;
      if (bytes[at] !== carriageReturn) continue;
      if (bytes[at + 1] === carriageReturn) return at + 2;
      if (bytes[at + 1] === lineFeed && bytes[at + 2] === carriageReturn && bytes[at + 3] === lineFeed) return at + 4;
    }
    this.#searchedTo = Math.max(0, bytes.length - 3);
    return undefined;
  }
}

/** The data of an event, its lines joined; undefined when it has none (a comment). */
export function dataOf(event: Uint8Array): string | undefined {
  const lines = Buffer.from(event.buffer, event.byteOffset, event.byteLength)
    .toString("utf8")
    .split(/\r\n|\n|\r/)
    .filter((line) => line.startsWith("data:"));
  return lines.length === 0 ? undefined : lines.map((line) => line.slice(line[5] === " " ? 6 : 5)).join("\n");
}
