import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BatchSize } from "../src/batch-size.ts";
import { type FieldBytes, listOf, UnreadableEntry } from "../src/fields.ts";
import { decodeEntry } from "../src/stream.ts";

const position = { shard: 3, entryId: "1795406799866-0", deliveryCount: 1 };
const good: Record<string, string> = {
  ...{
    deduction_id: "ded_1_a",
    account_id: "00000000-0000-4000-8000-00000000000A",
    account_type: "user",
    virtual_key: "vk",
  },
  ...{ cost: "0.000001234", provider: "openai", model: "gpt", timestamp: "2026-11-23T04:03:50.754Z", request_id: "r" },
  ...{ balance_before: "1.5", balance_after: "1.499998766", account_seq: "7", metadata: '{"a":"b"}' },
};

/** In the order of draw.lua. */
const own = {
  ...{ deduction_id: "ded_1_a", account_id: good["account_id"], account_owner_id: "o", account_type: "user" },
  ...{ virtual_key: "vk", cost: "0.5", currency: "USD", provider: "openai", model: "gpt", input_tokens: "1" },
  ...{ output_tokens: "2", total_tokens: "3", timestamp: "2026-11-23T04:03:50.754Z", balance_before: "1.5" },
  ...{ balance_after: "1", account_seq: "7", request_id: "", usage_source: "provider", metadata: "{}" },
} as Record<string, string>;

/** As Redis sends the list. */
function folded(fields: readonly Buffer[]): Buffer {
  const strings = fields.flatMap((field) => [Buffer.from(`$${field.length}\r\n`), field, Buffer.from("\r\n")]);
  return Buffer.concat([Buffer.from(`*${fields.length}\r\n`), ...strings]);
}

/** As the client's parser leaves them: parts of what came in one piece. */
function inOnePiece(fields: readonly Buffer[]): Buffer[] {
  const bytes = Buffer.concat(
    fields.flatMap((field) => [Buffer.from(`$${field.length}\r\n`), field, Buffer.from("\r\n")]),
  );
  let at = 0;
  return fields.map((field) => {
    at += `$${field.length}\r\n`.length;
    const part = bytes.subarray(at, at + field.length);
    at += field.length + 2;
    return part;
  });
}

function decoded(fields: FieldBytes): unknown {
  try {
    return decodeEntry(position, fields);
  } catch (error) {
    if (error instanceof UnreadableEntry) return { errorClass: error.errorClass, message: error.message };
    throw error;
  }
}

describe("an entry as it was read", () => {
  test("Section 5: an entry means the same folded, in one piece of memory and field by field, whatever its bytes are", () => {
    const value = fc.oneof(
      fc.constantFrom("", "é", "\0", "2026-11-23", "2026-13-23T04:03:50.754Z", "+12026-11-23T04:03:50.75Z", "\ufeffx"),
      fc.string(),
      fc.string({ unit: "binary" }),
    );
    const bytes = fc.oneof(
      value.map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 9 }).map((array) => Buffer.from(array)),
    );
    const changes = fc.array(fc.tuple(fc.constantFrom(...Object.keys(good), "kind", "é"), bytes), { maxLength: 2 });
    fc.assert(
      fc.property(fc.constantFrom(good, own), changes, fc.boolean(), (entry, changed, odd) => {
        const fields = new Map(Object.entries(entry).map(([name, text]) => [name, Buffer.from(text)]));
        for (const [name, replaced] of changed) fields.set(name, replaced);
        const flat = [...fields].flatMap(([name, text]) => [Buffer.from(name), text]);
        const apart = flat.map((field) => Buffer.from(Uint8Array.from(field)));
        expect(decoded(folded(flat))).toEqual(decoded(apart));
        expect([...listOf(folded(flat))]).toEqual(flat);
        if (odd) for (const list of [flat, apart]) list.push(Buffer.from("alone"));
        expect(decoded(inOnePiece(flat))).toEqual(decoded(apart));
      }),
      { numRuns: 500 },
    );
    expect(
      decoded(
        inOnePiece(
          Object.entries(good)
            .flat()
            .map((text) => Buffer.from(text)),
        ),
      ),
    ).toMatchObject({
      accountId: "00000000-0000-4000-8000-00000000000a",
      balanceCheck: "ok",
      timestamp: "2026-11-23T04:03:50.754Z",
    });
    const ours = Object.entries(own).flat();
    expect(decoded(folded(ours.map((text) => Buffer.from(text))))).toMatchObject({
      costNanos: 500_000_000n,
      totalTokens: "3",
    });
  });
});

test("Section 5: a time and a count are judged the same whatever was read before", () => {
  const withField = (name: string, text: string) =>
    decoded(folded(Object.entries({ ...own, [name]: text }).flatMap((pair) => pair.map((part) => Buffer.from(part)))));
  const time = (text: string) => withField("timestamp", text);
  expect(time("2026-11-23T04:03:50.754Z")).toMatchObject({ timestamp: "2026-11-23T04:03:50.754Z" });
  expect(time("2026-11-23T04:03:50.999Z")).toMatchObject({ timestamp: "2026-11-23T04:03:50.999Z" });
  expect(time("2026-11-23T04:03:50.75Z")).toMatchObject({ timestamp: "2026-11-23T04:03:50.750Z" });
  expect(time("2026-11-23T04:03:50+02:00")).toMatchObject({ timestamp: "2026-11-23T02:03:50.000Z" });
  for (const text of ["2026-11-23T04:03:50.7x4Z", "2026-11-23T04:03:50.754z9", "2026-02-30T04:03:50.754Z"])
    for (let again = 0; again < 2; again += 1) expect(time(text)).toMatchObject({ errorClass: "invalid_timestamp" });
  const count = (text: string) => withField("total_tokens", text);
  for (const [text, totalTokens] of Object.entries({
    0: "0",
    "007": "7",
    "12.00": "12",
    9007199254740992: "9007199254740992",
    "": "3",
  }))
    expect(count(text)).toMatchObject({ totalTokens });
  for (const text of ["9007199254740993", "-1", "1e3", "12\n"])
    expect(count(text)).toMatchObject({ errorClass: "invalid_tokens" });
});

describe("how many are read at once", () => {
  const batch = (...perShard: number[]) =>
    perShard.flatMap((length, shard) => Array.from({ length }, () => ({ ...position, shard, fields: [] })));

  test("Section 9: a batch grows while a shard fills it and it settles quickly, shrinks when it is slow, and keeps its bounds", () => {
    const size = new BatchSize(1_000);
    expect(size.now).toBe(250);
    size.learn(batch(249, 249), 1);
    expect(size.now).toBe(250);
    size.learn(batch(1, 250), 1);
    expect(size.now).toBe(500);
    for (let n = 0; n < 3; n++) size.learn(batch(size.now), 1);
    expect(size.now).toBe(1_000);
    size.learn(batch(1_000), 150);
    expect(size.now).toBe(1_000);
    for (let n = 0; n < 5; n++) size.learn(batch(1_000), 300);
    expect(size.now).toBe(250);
  });

  test("Section 5: a batchSize below the first size is the size of every batch", () => {
    const size = new BatchSize(50);
    size.learn(batch(50), 1);
    expect(size.now).toBe(50);
    size.learn(batch(50), 10_000);
    expect(size.now).toBe(50);
  });
});
