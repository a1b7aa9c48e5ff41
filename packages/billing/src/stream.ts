// What a stream entry is. A deduction is written by charge.lua, a credit or repair link by credit.lua and load.lua; older
// producers write deductions without owner, balances and seq. Entries are read as bytes and decoded strictly: what cannot
// be decoded is named with its reason, kept as a dead letter, and never guessed at.
import { isAscii } from "node:buffer";
import { BillingError } from "./errors.ts";
import { shardOfStream } from "./keys.ts";
import { parseCost, parseUnits } from "./money.ts";
import { replyArray } from "./redis.ts";

export type AccountType = "user" | "tenant";

/** How the usage behind a cost is known; `reported` by another gateway. */
export type UsageSource = "provider" | "partial" | "estimated" | "none" | "reported";

/** `id` is `account_balance.id`; `ownerId` the user or tenant. */
export type AccountRef = { id: string; ownerId: string; type: AccountType; currency: string };

/**
 * Where an entry stands: its shard, its stream id, and how often it was delivered. `epoch`: the shard's, known before the entry was read
 * from its stream; absent for what was not read from one, or is only looked at.
 */
export type Position = { shard: number; entryId: string; deliveryCount: number; epoch?: bigint };

export type BalanceCheck = "ok" | "missing" | "mismatch";

/** One deduction. `accountSeq` is null for what an older producer drew from a key of its own. Token counts are decimal text. */
export type UsageEntry = Position & {
  kind: "usage";
  deductionId: string;
  accountId: string;
  accountType: AccountType;
  virtualKey: string;
  costNanos: bigint;
  currency: string;
  provider: string;
  model: string;
  inputTokens: string;
  outputTokens: string;
  totalTokens: string;
  timestamp: string;
  balanceBeforeNanos: bigint | null;
  balanceAfterNanos: bigint | null;
  accountSeq: bigint | null;
  requestId: string | null;
  usageSource: string | null;
  /** JSON text that jsonb takes. */
  metadata: string;
  balanceCheck: BalanceCheck;
};

/** One link that is not a deduction: an applied credit, or a repair after a loss. */
export type LinkEntry = Position & {
  kind: "credit" | "repair";
  accountId: string;
  accountType: AccountType;
  amountNanos: bigint;
  creditsVersion: bigint;
  balanceBeforeNanos: bigint;
  balanceAfterNanos: bigint;
  accountSeq: bigint;
  timestamp: string;
};

export type Entry = UsageEntry | LinkEntry;

/** An entry as it was read: field, value, field, value… in bytes; empty when it was removed from the stream. */
export type RawEntry = Position & { fields: Buffer[] };

/** Why an entry can never be settled as it stands. */
export class UnreadableEntry extends Error {
  readonly errorClass: string;
  constructor(errorClass: string, message: string) {
    super(message);
    this.errorClass = errorClass;
  }
}

export const MAX_TEXT_LENGTH = 512;
export const MAX_METADATA_BYTES = 64 * 1024;
const MAX_METADATA_DEPTH = 200;
const MAX_TOKENS = 2n ** 53n;
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const isoPattern = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?)(Z|[+-]\d\d(?::?\d\d)?)?)?$/i;
const ISO_LENGTH = "2026-01-01T00:00:00.000Z".length;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Decodes the flat list of field, value, field, value… of one entry. Throws `UnreadableEntry`. */
export function decodeEntry(position: Position, raw: readonly Buffer[]): Entry {
  if (raw.length === 0)
    throw new UnreadableEntry("entry_deleted", "the entry was removed from the stream before it was settled");
  const fields = readAsciiFields(raw) ?? readFields(raw);
  const read = new FieldReader(fields);
  const kind = fields.get("kind");
  if (kind === undefined || kind === "") return decodeUsage(position, read);
  if (kind === "credit" || kind === "repair") return decodeLink(position, kind, read);
  throw new UnreadableEntry("invalid_kind", `kind ${quote(kind)} is not known`);
}

function decodeUsage(position: Position, read: FieldReader): UsageEntry {
  const costNanos = read.cost();
  const inputTokens = read.tokens("input_tokens") ?? 0n;
  const outputTokens = read.tokens("output_tokens") ?? 0n;
  const balanceBeforeNanos = read.balance("balance_before");
  const balanceAfterNanos = read.balance("balance_after");
  return {
    ...position,
    kind: "usage",
    deductionId: read.required("deduction_id"),
    accountId: read.accountId(),
    accountType: read.accountType(),
    virtualKey: read.required("virtual_key"),
    costNanos,
    currency: read.optional("currency") ?? "USD",
    provider: read.required("provider"),
    model: read.required("model"),
    inputTokens: inputTokens.toString(),
    outputTokens: outputTokens.toString(),
    totalTokens: (read.tokens("total_tokens") ?? inputTokens + outputTokens).toString(),
    timestamp: read.timestamp(position.entryId),
    balanceBeforeNanos,
    balanceAfterNanos,
    accountSeq: read.optional("account_seq") === undefined ? null : read.seq("account_seq"),
    requestId: read.optional("request_id") ?? null,
    usageSource: read.optional("usage_source") ?? null,
    metadata: read.metadata(),
    balanceCheck: checkBalances(balanceBeforeNanos, balanceAfterNanos, costNanos),
  };
}

function decodeLink(position: Position, kind: "credit" | "repair", read: FieldReader): LinkEntry {
  return {
    ...position,
    kind,
    accountId: read.accountId(),
    accountType: read.accountType(),
    amountNanos: read.units("amount"),
    creditsVersion: read.seq("credits_version"),
    balanceBeforeNanos: read.units("balance_before"),
    balanceAfterNanos: read.units("balance_after"),
    accountSeq: read.seq("account_seq"),
    timestamp: read.timestamp(position.entryId),
  };
}

/** Flags what does not add up. A flagged deduction is settled all the same. */
function checkBalances(before: bigint | null, after: bigint | null, costNanos: bigint): BalanceCheck {
  if (before === null || after === null) return "missing";
  return after === before - costNanos ? "ok" : "mismatch";
}

class FieldReader {
  readonly #fields: ReadonlyMap<string, string>;

  constructor(fields: ReadonlyMap<string, string>) {
    this.#fields = fields;
  }

  optional(name: string): string | undefined {
    const text = this.#fields.get(name);
    if (text === undefined || text === "") return undefined;
    if (text.length > MAX_TEXT_LENGTH)
      throw new UnreadableEntry("text_too_long", `${name} has ${text.length} characters, more than ${MAX_TEXT_LENGTH}`);
    return text;
  }

  required(name: string): string {
    const text = this.optional(name);
    if (text === undefined) throw new UnreadableEntry("missing_field", `${name} is missing`);
    return text;
  }

  accountId(): string {
    const text = this.required("account_id");
    if (!uuidPattern.test(text))
      throw new UnreadableEntry("invalid_account_id", `account_id ${quote(text)} is not a UUID`);
    return text.toLowerCase();
  }

  accountType(): AccountType {
    const text = this.required("account_type");
    if (text === "user" || text === "tenant") return text;
    throw new UnreadableEntry("invalid_account_type", `account_type ${quote(text)} is neither user nor tenant`);
  }

  cost(): bigint {
    const text = this.required("cost");
    try {
      return parseCost(text);
    } catch (error) {
      throw new UnreadableEntry("invalid_cost", error instanceof BillingError ? error.message : String(error));
    }
  }

  units(name: string): bigint {
    const text = this.required(name);
    try {
      return parseUnits(text);
    } catch {
      throw new UnreadableEntry("invalid_amount", `${name} ${quote(text)} is not an amount`);
    }
  }

  /** A balance that is no number is no reason to keep a deduction out of the books: it is null and flagged. */
  balance(name: string): bigint | null {
    try {
      return parseUnits(this.#fields.get(name) ?? "");
    } catch {
      return null;
    }
  }

  tokens(name: string): bigint | undefined {
    const text = this.optional(name);
    if (text === undefined) return undefined;
    const whole = /^(\d{1,16})(?:\.0*)?$/.exec(text)?.[1];
    const count = whole === undefined ? undefined : BigInt(whole);
    if (count === undefined || count > MAX_TOKENS)
      throw new UnreadableEntry("invalid_tokens", `${name} ${quote(text)} is not a whole number from 0 to 2^53`);
    return count;
  }

  seq(name: string): bigint {
    const text = this.required(name);
    if (!/^\d{1,18}$/.test(text))
      throw new UnreadableEntry("invalid_seq", `${name} ${quote(text)} is not a whole number`);
    return BigInt(text);
  }

  timestamp(entryId: string): string {
    const text = this.optional("timestamp");
    if (text === undefined) return new Date(Number(entryId.split("-")[0])).toISOString();
    // As our scripts write it.
    const ms = text.length === ISO_LENGTH ? Date.parse(text) : Number.NaN;
    if (!Number.isNaN(ms) && new Date(ms).toISOString() === text) return text;
    const parts = isoPattern.exec(text);
    const [, date, time = "00:00", zone = "Z"] = parts ?? [];
    const paddedZone = /^[+-]\d\d$/.test(zone)
      ? `${zone}:00`
      : zone.replace(/^([+-]\d\d)(\d\d)$/, "$1:$2").toUpperCase();
    const moment = new Date(`${date}T${time.replace(",", ".")}${paddedZone}`);
    const day = date === undefined ? Number.NaN : new Date(`${date}T00:00Z`).getTime();
    const realDay = !Number.isNaN(day) && new Date(day).toISOString().startsWith(date ?? " ");
    if (!parts || Number.isNaN(moment.getTime()) || !realDay)
      throw new UnreadableEntry("invalid_timestamp", `timestamp ${quote(text)} is not ISO 8601`);
    return moment.toISOString();
  }

  /** Kept as it is when jsonb takes it, else as a JSON string: `\u0000`, lone surrogates, giant exponents and abysses it does not take. */
  metadata(): string {
    const text = this.#fields.get("metadata");
    if (text === undefined || text === "") return "{}";
    if (Buffer.byteLength(text) > MAX_METADATA_BYTES)
      throw new UnreadableEntry("text_too_long", `metadata is longer than ${MAX_METADATA_BYTES} bytes`);
    try {
      JSON.parse(text);
      if (!/\\u(0000|d[89a-f])|\d[eE][+-]?\d{3}/i.test(text) && depthOf(text) <= MAX_METADATA_DEPTH) return text;
    } catch {
      // no JSON: kept as a string below
    }
    return JSON.stringify(text);
  }
}

/** At least the nesting depth of a JSON text (brackets inside strings count too: the safe side). */
function depthOf(json: string): number {
  let depth = 0;
  let deepest = 0;
  for (let i = 0; i < json.length; i++) {
    const c = json.charCodeAt(i);
    if (c === 0x5b || c === 0x7b) deepest = Math.max(deepest, ++depth);
    else if (c === 0x5d || c === 0x7d) depth--;
  }
  return deepest;
}

function readFields(raw: readonly Buffer[]): Map<string, string> {
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < raw.length; i += 2)
    fields.set(decodeText(raw[i], "a field name"), decodeText(raw[i + 1], String(raw[i])));
  return fields;
}

/** In the order of draw.lua. */
const OWN_NAMES =
  "deduction_id account_id account_owner_id account_type virtual_key cost currency provider model input_tokens output_tokens total_tokens timestamp balance_before balance_after account_seq request_id usage_source metadata".split(
    " ",
  );

/** What lies between two fields in a reply: `\r\n$<length>\r\n`. */
const MOST_BETWEEN = 16;

/**
 * The same at a fifth of the cost for what nearly every entry is: ASCII throughout, in one piece of memory as the reply had it. It is made
 * one text, and each field a part of that. Undefined for any other.
 */
function readAsciiFields(raw: readonly Buffer[]): Map<string, string> | undefined {
  const memory = raw[0]?.buffer;
  const start = raw[0]?.byteOffset ?? 0;
  let end = start;
  for (const bytes of raw) {
    if (bytes.buffer !== memory || bytes.byteOffset < end || bytes.byteOffset > end + MOST_BETWEEN) return undefined;
    end = bytes.byteOffset + bytes.length;
  }
  const whole = Buffer.from(memory ?? new ArrayBuffer(0), start, end - start);
  if (!isAscii(whole)) return undefined;
  const text = whole.toString("latin1");
  if (text.includes("\0")) return undefined;
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as Buffer;
    const value = raw[i + 1] as Buffer;
    const nameAt = name.byteOffset - start;
    const valueAt = value.byteOffset - start;
    const own = OWN_NAMES[i / 2];
    const known = own?.length === name.length && text.startsWith(own, nameAt);
    fields.set(known ? own : text.slice(nameAt, nameAt + name.length), text.slice(valueAt, valueAt + value.length));
  }
  return fields;
}

function decodeText(bytes: Buffer | undefined, name: string): string {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new UnreadableEntry("invalid_utf8", `${name} is not UTF-8`);
  }
  if (text.includes("\0")) throw new UnreadableEntry("invalid_text", `${name} has a NUL character`);
  return text;
}

export function isUuid(value: unknown): value is string {
  return typeof value === "string" && uuidPattern.test(value);
}

function quote(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
}

/** One `[stream, [[id, fields], …]]`; fields are null when the entry was removed from the stream. */
export function readStreamReply(reply: unknown): RawEntry[] {
  const [key, entries] = replyArray(reply);
  const shard = shardOfStream(String(key));
  if (shard === undefined) throw new TypeError(`a read answered for the stream ${String(key)}`);
  return replyArray(entries).map((entry) => readEntryReply(shard, entry));
}

export function readEntryReply(shard: number, reply: unknown): RawEntry {
  const [id, fields] = replyArray(reply);
  return {
    shard,
    entryId: String(id),
    deliveryCount: 1,
    fields: fields === null ? [] : replyArray(fields).map(replyBytes),
  };
}

function replyBytes(value: unknown): Buffer {
  if (!Buffer.isBuffer(value)) throw new TypeError("an entry was not read as bytes");
  return value;
}
