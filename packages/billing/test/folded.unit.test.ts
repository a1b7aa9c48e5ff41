import fc from "fast-check";
import { expect, test } from "vitest";
import { listOf } from "../src/fields.ts";
import { FIELDS_DEPTH, Folding } from "../src/folded.ts";

type Reply = Buffer | string | null | Reply[];

/** As Redis sends it; a text is a whole line with its type. */
function sent(reply: Reply): Buffer {
  if (reply === null) return Buffer.from("*-1\r\n");
  if (typeof reply === "string") return Buffer.from(`${reply}\r\n`);
  if (Buffer.isBuffer(reply)) return Buffer.concat([Buffer.from(`$${reply.length}\r\n`), reply, Buffer.from("\r\n")]);
  return Buffer.concat([Buffer.from(`*${reply.length}\r\n`), ...reply.map(sent)]);
}

/** What a client makes of it. */
function received(bytes: Buffer): Reply[] {
  let at = 0;
  const read = (): Reply => {
    const end = bytes.indexOf("\r\n", at);
    const line = bytes.toString("latin1", at, end);
    const length = Number(line.slice(1));
    at = end + 2;
    if (line[0] === "*") return length < 0 ? null : Array.from({ length }, read);
    if (line[0] !== "$") return line;
    at += length + 2;
    return bytes.subarray(at - length - 2, at - 2);
  };
  const replies: Reply[] = [];
  while (at < bytes.length) replies.push(read());
  return replies;
}

/** The lists of fields as lists again. */
function unfolded(reply: Reply, lists: number, depth = 0): Reply {
  if (Array.isArray(reply)) return reply.map((element) => unfolded(element, lists, depth + 1));
  return depth === lists && Buffer.isBuffer(reply) && reply[0] === 0x2a ? [...listOf(reply)] : reply;
}

function folded(bytes: Buffer, cuts: readonly number[], depth: 2 | 4 = FIELDS_DEPTH.xreadgroup): Buffer {
  const folding = new Folding(depth);
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
  return Buffer.concat(ends.map((end, i) => folding.push(bytes.subarray(ends[i - 1] ?? 0, end))));
}

const bytes = fc.oneof(
  fc.constantFrom("", "\r\n", "*2\r\n$1\r\n", "é", "deduction_id").map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array)),
);
const fields = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.array(fc.tuple(bytes, bytes), { minLength: 1, maxLength: 4 }).map((pairs) => pairs.flat()),
  },
  { weight: 1, arbitrary: fc.constant(null) },
);
const entries = fc.array(fc.tuple(fc.constant(Buffer.from("1-0")), fields), { maxLength: 4 });
const deliveries = fc.array(fc.tuple(fc.constant(Buffer.from("stream:deductions:0")), entries), { maxLength: 3 });
const other = fc.oneof(fc.constantFrom<Reply>("+OK", ":12", "-NOGROUP none", null, [], [":1", [null, [":2"]]]), bytes);

test.each([
  ["XREADGROUP", FIELDS_DEPTH.xreadgroup, deliveries],
  ["XRANGE", FIELDS_DEPTH.xrange, entries],
] as const)(
  "Section 5: what %s answers is folded to the same entries, to the byte, wherever it is cut",
  (_, depth, answers) => {
    const cuts = fc.array(fc.nat(), { maxLength: 12 });
    const one: fc.Arbitrary<Reply> = fc.oneof<fc.Arbitrary<Reply>[]>(answers, other);
    fc.assert(
      fc.property(fc.array(one, { maxLength: 4 }), cuts, (replies, at) => {
        const all = Buffer.concat(replies.map((reply) => sent(reply)));
        expect(received(folded(all, at, depth)).map((reply) => unfolded(reply, depth))).toEqual(replies);
      }),
      { numRuns: 1_000 },
    );
  },
);

test("Section 5: the fields of an entry are one string; a list of more than 256 kB in several pieces stays a list", () => {
  const name = Buffer.from("a");
  const reply = (value: Buffer): Reply => [[name, [[name, [name, value]]]]];
  const all = (value: string) => sent(reply(Buffer.from(value)));
  const read = (from: Buffer) => received(from) as [[[Buffer, [[Buffer, Reply]]]]];
  const fieldsOf = ([[[, [[, list]]]]]: [[[Buffer, [[Buffer, Reply]]]]]) => list;
  expect(fieldsOf(read(folded(all("value"), [20])))).toEqual(sent([name, Buffer.from("value")]));
  const long = all("x".repeat(400_000));
  expect(fieldsOf(read(folded(long, [300_000])))).toEqual([name, Buffer.from("x".repeat(400_000))]);
});
