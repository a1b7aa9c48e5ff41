import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dataOf, EventCutter } from "../src/gateway/events.ts";

const cutAll = (pieces: Uint8Array[]): string[] => {
  const cutter = new EventCutter();
  const events = pieces.flatMap((piece) => cutter.push(piece)).map(String);
  const rest = cutter.rest();
  return rest.length === 0 ? events : [...events, String(rest)];
};

describe("cutting a stream into events", () => {
  it("gives the same events wherever the network cuts, and every byte once", () => {
    const event = fc.constantFrom(
      "data: {}\n\n",
      "event: a\r\ndata: é€😀\r\n\r\n",
      ": ping\n\n",
      "data: a\ndata: b\n\n",
      "data: x\r\r",
    );
    fc.assert(
      fc.property(fc.array(event), fc.array(fc.nat(200)), fc.string(), (events, cuts, tail) => {
        const bytes = Buffer.from(events.join("") + tail.replace(/[\r\n]/g, ""));
        const places = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).toSorted((a, b) => a - b), bytes.length];
        const pieces = places.slice(1).map((end, index) => bytes.subarray(places[index], end));
        expect(cutAll(pieces).join("")).toBe(String(bytes));
        expect(cutAll(pieces)).toEqual(cutAll([bytes]));
        expect(cutAll([bytes]).slice(0, events.length)).toEqual(events);
      }),
    );
  });

  it("passes on an event without an end instead of keeping all of it", () => {
    const cutter = new EventCutter();
    const piece = Buffer.alloc(1024 * 1024, "x");
    let passedOn = 0;
    for (let sent = 0; sent < 40; sent += 1) for (const event of cutter.push(piece)) passedOn += event.length;
    expect(passedOn).toBeGreaterThan(30 * piece.length);
  });

  it("reads the data of an event, its lines joined", () => {
    expect(dataOf(Buffer.from('event: x\r\ndata: {"a":\r\ndata:1}\r\n\r\n'))).toBe('{"a":\n1}');
    expect(dataOf(Buffer.from(": ping\n\n"))).toBeUndefined();
  });
});
