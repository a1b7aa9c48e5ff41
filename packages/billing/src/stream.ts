// What a stream entry is. A deduction is written by charge.lua, a credit or repair link by credit.lua and load.lua; older
// producers write deductions without owner, balances and seq. Entries are read as bytes and decoded strictly: what cannot
// be decoded is named with its reason, kept as a dead letter, and never guessed at.
import { BillingError } from "./errors.ts";
import { type FieldBytes, readFields, UnreadableEntry } from "./fields.ts";
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
export type Position = { shard: number; entryId: string; deliveryCount: number; epoch?: bigint | undefined };

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
export type RawEntry = Position & { fields: readonly Buffer[] };

/** The same as a worker has it in hand: its fields may still be in one piece. */
export type EntryInHand = Position & { fields: FieldBytes };

export const MAX_TEXT_LENGTH = 512;
export const MAX_METADATA_BYTES = 64 * 1024;
const MAX_METADATA_DEPTH = 200;
const MAX_TOKENS = 2n ** 53n;
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const isoPattern = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?)(Z|[+-]\d\d(?::?\d\d)?)?)?$/i;
/** Times and counts as our scripts write them: what they match is taken as it is. */
const ownTimePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const ownCountPattern = /^(?:0|[1-9]\d{0,14})$/;
/** A second that there is, and that the next entry is as likely of as not. */
let knownSecond = "none";

/** Decodes the flat list of field, value, field, value… of one entry. Throws `UnreadableEntry`. */
export function decodeEntry(position: Position, raw: FieldBytes): Entry {
  if (raw.length === 0)
    throw new UnreadableEntry("entry_deleted", "the entry was removed from the stream before it was settled");
  const fields = readFields(raw);
  const read = new FieldReader(fields);
  const kind = fields.get("kind");
  if (kind === undefined || kind === "") return decodeUsage(position, read);
  if (kind === "credit" || kind === "repair") return decodeLink(position, kind, read);
  throw new UnreadableEntry("invalid_kind", `kind ${quote(kind)} is not known`);
}

function decodeUsage(position: Position, read: FieldReader): UsageEntry {
  // Named one by one: an object that is made with all its fields at once costs the least.
  const { shard, entryId, deliveryCount, epoch } = position;
  const costNanos = read.cost();
  const inputTokens = read.tokens("input_tokens") ?? "0";
  const outputTokens = read.tokens("output_tokens") ?? "0";
  const balanceBeforeNanos = read.balance("balance_before");
  const balanceAfterNanos = read.balance("balance_after");
  return {
    shard,
    entryId,
    deliveryCount,
    epoch,
    kind: "usage",
    deductionId: read.required("deduction_id"),
    accountId: read.accountId(),
    accountType: read.accountType(),
    virtualKey: read.required("virtual_key"),
    costNanos,
    currency: read.optional("currency") ?? "USD",
    provider: read.required("provider"),
    model: read.required("model"),
    inputTokens,
    outputTokens,
    totalTokens: read.tokens("total_tokens") ?? (BigInt(inputTokens) + BigInt(outputTokens)).toString(),
    timestamp: read.timestamp(entryId),
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

  tokens(name: string): string | undefined {
    const text = this.optional(name);
    if (text === undefined || ownCountPattern.test(text)) return text;
    const whole = /^(\d{1,16})(?:\.0*)?$/.exec(text)?.[1];
    const count = whole === undefined ? undefined : BigInt(whole);
    if (count === undefined || count > MAX_TOKENS)
      throw new UnreadableEntry("invalid_tokens", `${name} ${quote(text)} is not a whole number from 0 to 2^53`);
    return count.toString();
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
    if (text.startsWith(knownSecond) && ownTimePattern.test(text)) return text;
    const ms = ownTimePattern.test(text) ? Date.parse(text) : Number.NaN;
    if (!Number.isNaN(ms) && new Date(ms).toISOString() === text) {
      knownSecond = text.slice(0, "2026-01-01T00:00:00".length);
      return text;
    }
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
    if (text === undefined || text === "" || text === "{}") return "{}";
    if (Buffer.byteLength(text) > MAX_METADATA_BYTES)
      throw new UnreadableEntry("text_too_long", `metadata is longer than ${MAX_METADATA_BYTES} bytes`);
    try {
      JSON.parse(text);
      const shallow = text.length <= MAX_METADATA_DEPTH || depthOf(text) <= MAX_METADATA_DEPTH;
      if (shallow && !/\\u(0000|d[89a-f])|\d[eE][+-]?\d{3}/i.test(text)) return text;
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

export function isUuid(value: unknown): value is string {
  return typeof value === "string" && uuidPattern.test(value);
}

function quote(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
}

/**
 * One `[stream, [[id, fields], …]]`, with its shard's epoch; fields are null when the entry was removed from the stream, and may be in one
 * piece (folded.ts).
 */
export function readStreamReply(reply: unknown, epochs: ReadonlyMap<number, bigint>): EntryInHand[] {
  const [key, entries] = replyArray(reply);
  const shard = shardOfStream(String(key));
  const epoch = shard === undefined ? undefined : epochs.get(shard);
  if (shard === undefined || epoch === undefined) throw new TypeError(`a read answered for the stream ${String(key)}`);
  return readEntries(shard, entries, { deliveryCount: 1, epoch });
}

/** `[[id, fields], …]` of one shard; fields as above. */
export function readEntries(
  shard: number,
  reply: unknown,
  { deliveryCount, epoch }: Pick<Position, "deliveryCount" | "epoch"> = { deliveryCount: 0 },
): EntryInHand[] {
  return replyArray(reply).map((entry) => {
    const [id, fields] = replyArray(entry);
    const folded = Buffer.isBuffer(fields) ? fields : readFieldsReply(fields);
    return { shard, entryId: String(id), deliveryCount, epoch, fields: folded };
  });
}

export function readEntryReply(shard: number, reply: unknown): RawEntry {
  const [id, fields] = replyArray(reply);
  return {
    shard,
    entryId: String(id),
    deliveryCount: 1,
    fields: readFieldsReply(fields),
  };
}

function readFieldsReply(fields: unknown): Buffer[] {
  return fields === null ? [] : replyArray(fields).map(replyBytes);
}

function replyBytes(value: unknown): Buffer {
  if (!Buffer.isBuffer(value)) throw new TypeError("an entry was not read as bytes");
  return value;
}
