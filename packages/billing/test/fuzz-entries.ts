// A seeded generator of stream entries in bytes: deductions in every form that must settle, and every kind of malformation.
import { type AccountRef, formatUnits } from "../src/index.ts";

type Random = () => number;
/** Field, value, field, value… A field may stand twice. */
export type Fields = [string | Buffer, string | Buffer][];
export type GoodEntry = { fields: Fields; costNanos: bigint };
/** `database`: only Postgres can tell, so it is tried again before it is a dead letter. */
export type BadEntry = { kind: string; fields: Fields; errorClass: string | RegExp; database: boolean };

const required = ["deduction_id", "account_id", "account_type", "virtual_key", "cost", "provider", "model"] as const;

function pick<T>(list: readonly T[], random: Random): T {
  return list[Math.floor(random() * list.length)] as T;
}

/** A deduction as older producers write it, in all the forms that the contract lets pass. */
export function goodEntry(account: AccountRef, id: string, random: Random): GoodEntry {
  const micros = Math.floor(random() * 100_000);
  const nanos = BigInt(micros) * 1_000n;
  const cost = pick(
    [String(micros / 1e6), formatUnits(nanos), `${micros}e-6`, `0${micros / 1e6}`, `+${micros}E-6`],
    random,
  );
  const fields: Fields = [
    ["deduction_id", id],
    ["account_id", random() < 0.1 ? account.id.toUpperCase() : account.id],
    ["account_type", account.type],
    ["virtual_key", pick(["vk_fuzz", "vk_\u{1F680}", "ключ", "'; DROP TABLE data.usage_log; --"], random)],
    ["cost", cost],
    ["currency", pick(["USD", "usd", "Usd", ""], random)],
    ["provider", pick(["openai", "x".repeat(512), "\u4e2d".repeat(512)], random)],
    ["model", pick(["gpt-4o", "\uFFFD\uFFFE\uFFFF", 'a\tb\nc\\d"e', "\u{10FFFF}"], random)],
  ];
  const optional: Fields = [
    ["input_tokens", pick(["0", "3", "9007199254740992", "7.0", ""], random)],
    ["output_tokens", pick(["0", "4", "0000000000000012"], random)],
    ["total_tokens", pick(["7", "", "9007199254740992"], random)],
    [
      "timestamp",
      pick(["2026-01-02T03:04:05.678Z", "2026-01-02", "2026-01-02 03:04:05+0530", "2026-02-28T23:59:59,9-08"], random),
    ],
    ["balance_before", pick(["five", "5", "NaN", "\\x00", "9".repeat(400)], random)],
    ["balance_after", pick(["four", "4", "-1e5", ""], random)],
    ["metadata", metadata(random)],
    [`unknown_${Math.floor(random() * 9)}`, "whatever"],
    // The last of two counts, whatever the first says.
    ["model", "gpt-4o-mini"],
  ];
  return { fields: [...fields, ...optional.filter(() => random() < 0.6)], costNanos: nanos };
}

/** What is no JSON, or none that jsonb takes, is kept as a text: none of it may stop a deduction. */
function metadata(random: Random): string {
  const depth = 1 + Math.floor(random() * 30_000);
  return pick(
    [
      "{}",
      '{"a":1,"a":2}',
      "[".repeat(depth) + "]".repeat(depth),
      "[".repeat(depth),
      '{"a":'.repeat(180) + "1" + "}".repeat(180),
      '{"a":"\\u0000"}',
      '"\\ud800"',
      '{"n":1e999999}',
      `[${"9".repeat(5_000)}]`,
      '{"n":1e99}',
      "not json",
      "undefined",
      '{"__proto__":{"x":1},"constructor":null}',
      JSON.stringify({ text: "\u{1F4A3}".repeat(500) }),
    ],
    random,
  );
}

type Spoiled = { errorClass: string | RegExp; database?: boolean };
type Spoil = (fields: Fields, random: Random) => Spoiled;

const set = (fields: Fields, name: string, value: string | Buffer) => {
  for (const pair of fields) if (pair[0] === name) pair[1] = value;
  if (!fields.some(([field]) => field === name)) fields.push([name, value]);
};
const remove = (fields: Fields, name: string) => {
  for (let i = fields.length - 1; i >= 0; i--) if (fields[i]?.[0] === name) fields.splice(i, 1);
};
const oneOf =
  (name: string, values: readonly string[], errorClass: string | RegExp, database = false): Spoil =>
  (fields, random) => {
    set(fields, name, pick(values, random));
    return { errorClass, database };
  };

const badUtf8 = [
  [0xff],
  [0x67, 0xc3, 0x28],
  [0xed, 0xa0, 0x80],
  [0xf8, 0x88, 0x80, 0x80, 0x80],
  [0xc0, 0x80],
  [0xe2, 0x82],
];

const spoils: Record<string, Spoil> = {
  "a missing field": (fields, random) => {
    remove(fields, pick(required, random));
    return { errorClass: "missing_field" };
  },
  "an empty field": (fields, random) => {
    set(fields, pick(required, random), "");
    return { errorClass: "missing_field" };
  },
  "only one field": (fields, random) => {
    fields.splice(0, fields.length, [pick(["x", "deduction_id", "cost", ""], random), pick(["", "y", "1"], random)]);
    return { errorClass: /missing_field|invalid_cost/ };
  },
  "a field twice, the last one bad": (fields, random) => {
    const name = pick(["cost", "account_type", "timestamp"] as const, random);
    fields.push([name, "bad"]);
    return { errorClass: `invalid_${name}` };
  },
  "bytes that are no UTF-8": (fields, random) => {
    set(fields, pick([...required, "metadata", "currency"], random), Buffer.from(pick(badUtf8, random)));
    return { errorClass: "invalid_utf8" };
  },
  "a field name that is no UTF-8": (fields, random) => {
    fields.push([Buffer.from(pick(badUtf8, random)), "x"]);
    return { errorClass: "invalid_utf8" };
  },
  "a NUL": (fields, random) => {
    set(fields, pick([...required, "metadata", "timestamp"], random), pick(["\0", "a\0b", "\0".repeat(300)], random));
    return { errorClass: "invalid_text" };
  },
  "a NUL in a field name": (fields) => {
    fields.push(["co\0st", "1"]);
    return { errorClass: "invalid_text" };
  },
  "a cost that is none": oneOf(
    "cost",
    [
      "NaN",
      "Infinity",
      "-Infinity",
      "abc",
      "true",
      "null",
      "{}",
      "[]",
      "0x10",
      " 1",
      "1 ",
      "1,5",
      "1e",
      ".",
      "-",
      "--1",
      "1.2.3",
      "١",
      "1_000",
      "1e5e5",
      "$1",
    ],
    "invalid_cost",
  ),
  "a negative cost": oneOf("cost", ["-1", "-0.000000001", "-1e-300", "-9e99"], "invalid_cost"),
  "a huge cost": oneOf(
    "cost",
    ["9".repeat(300), "1e400", "1e999999", "1e9999999", "1000000000", `1${"0".repeat(64)}`],
    "invalid_cost",
  ),
  "token counts that are none": (fields, random) => {
    const name = pick(["input_tokens", "output_tokens", "total_tokens"], random);
    set(fields, name, pick(["-1", "1.5", "1e3", "abc", "9007199254740993", "9".repeat(400), "0x1", " 1", "∞"], random));
    return { errorClass: "invalid_tokens" };
  },
  "an account id that is none": oneOf(
    "account_id",
    [
      "1",
      "null",
      "{00000000-0000-4000-8000-000000000000}",
      "00000000-0000-4000-8000-00000000000g",
      "' OR 1=1 --",
      "0".repeat(36),
    ],
    "invalid_account_id",
  ),
  "an account type that is none": oneOf(
    "account_type",
    ["User", "team", "users", "0", "user "],
    "invalid_account_type",
  ),
  "a time that is none": oneOf(
    "timestamp",
    [
      "yesterday",
      "1700000000",
      "2026-02-30",
      "2026-13-01T00:00:00Z",
      "2026-01-01T25:00:00Z",
      "99999-01-01",
      "2026-01-01T00:00:00+99:99",
      "now()",
    ],
    "invalid_timestamp",
  ),
  "a time that Postgres has not": oneOf(
    "timestamp",
    ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"],
    /^22/,
    true,
  ),
  "giant text": (fields, random) => {
    const name = pick(
      ["deduction_id", "virtual_key", "provider", "model", "currency", "request_id", "timestamp"],
      random,
    );
    set(fields, name, "x".repeat(random() < 0.02 ? 1_000_000 : 513 + Math.floor(random() * 2_000)));
    return { errorClass: "text_too_long" };
  },
  "giant metadata": (fields, random) => {
    const length = 64 * 1024 + 1;
    set(
      fields,
      "metadata",
      pick(["[".repeat(length), "\u4e2d".repeat(length / 2), `{"a":"${"x".repeat(length)}"}`], random),
    );
    return { errorClass: "text_too_long" };
  },
  "another currency": oneOf("currency", ["EUR", "usdt", "¤", "US D"], "currency_mismatch"),
  "an unknown account": (fields, random) => {
    const tail = Math.floor(random() * 1e12)
      .toString(16)
      .padStart(12, "0");
    set(fields, "account_id", `00000000-0000-4000-8000-${tail}`);
    return { errorClass: "unknown_account", database: true };
  },
  "an unknown kind": oneOf("kind", ["bonus", "Credit", "usage", "0", "credit ", "__proto__"], "invalid_kind"),
  "a credit without its fields": oneOf("kind", ["credit", "repair"], "missing_field"),
  "a credit with a bad field": (fields, random) => {
    for (const name of ["cost", "virtual_key", "balance_before", "balance_after"]) remove(fields, name);
    const link = {
      amount: "1",
      credits_version: "7",
      total_credits: "1",
      balance_before: "0",
      balance_after: "1",
      account_seq: "9",
    };
    const names = ["amount", "credits_version", "balance_before", "balance_after", "account_seq"] as const;
    const spoiled = pick(names, random);
    for (const [name, value] of Object.entries(link))
      set(fields, name, name === spoiled ? pick(["", "x", "-", "1e5", "9".repeat(19) + ".1"], random) : value);
    set(fields, "kind", pick(["credit", "repair"], random));
    return { errorClass: /missing_field|invalid_amount|invalid_seq/ };
  },
  "a seq that is none": oneOf("account_seq", ["-1", "1.5", "abc", "9".repeat(19), "0x1"], "invalid_seq"),
};

/** Kinds that only the database can tell stay few, so that they are taken for poison and not for an ill database. */
const databaseShare = 0.4;

/** A good entry, spoiled in one way that is chosen by `random`. */
export function badEntry(account: AccountRef, id: string, random: Random): BadEntry {
  for (;;) {
    const kind = pick(Object.keys(spoils), random);
    const { fields } = goodEntry(account, id, random);
    const spoiled = spoils[kind]?.(fields, random);
    if (!spoiled) throw new RangeError(kind);
    if (spoiled.database && random() > databaseShare) continue;
    return { kind, fields, errorClass: spoiled.errorClass, database: spoiled.database ?? false };
  }
}

/** The same id with another cost: never settled, and never swallowed. */
export function sameIdOtherCost(entry: GoodEntry): BadEntry {
  const fields: Fields = entry.fields.map(([name, value]) => [name, name === "cost" ? "0.987654321" : value]);
  return { kind: "a known id with another cost", fields, errorClass: "duplicate_id", database: false };
}
