// The fields and values of a stream entry: from their bytes to text, strictly, and at little cost for what nearly every entry is.
import { isAscii } from "node:buffer";

/**
 * Field, value, field, value… in bytes, empty when the entry was removed from the stream: a list, or as a reading connection has it the list as
 * Redis sent it, in one piece (folded.ts).
 */
export type FieldBytes = readonly Buffer[] | Buffer;

/** Why an entry can never be settled as it stands. */
export class UnreadableEntry extends Error {
  readonly errorClass: string;
  constructor(errorClass: string, message: string) {
    super(message);
    this.errorClass = errorClass;
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The texts by name; of two with one name the last. Good until the next call. Throws `UnreadableEntry` for what is no UTF-8 or has a NUL. */
export function readFields(raw: FieldBytes): ReadonlyMap<string, string> {
  return (Buffer.isBuffer(raw) ? readFolded(raw) : readAscii(raw)) ?? readBytes(listOf(raw));
}

/** Each field and value by itself. Those of one piece share its memory. */
export function listOf(raw: FieldBytes): readonly Buffer[] {
  if (!Buffer.isBuffer(raw)) return raw;
  const list: Buffer[] = [];
  for (let at = raw.indexOf("\n") + 1; at < raw.length; ) {
    const from = raw.indexOf("\n", at) + 1;
    const to = from + Number(raw.toString("latin1", at + 1, from - 2));
    list.push(raw.subarray(from, to));
    at = to + 2;
  }
  return list;
}

/** The same without the rest of the reply that it came in, for what is kept for longer. */
export function alone(raw: FieldBytes): FieldBytes {
  return Buffer.isBuffer(raw) ? Buffer.from(raw) : raw.map((bytes) => Buffer.from(bytes));
}

function readBytes(raw: readonly Buffer[]): Map<string, string> {
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
/** What stands before their values. */
const OWN_HEADS = OWN_NAMES.map((name) => `$${name.length}\r\n${name}\r\n$`);
const OWN_START = `*${2 * OWN_NAMES.length}\r\n`;
const ownFields = new Map<string, string>();

/** One text of a folded list, and each value a part of it; for entries of our own script no names are made. Undefined unless it is ASCII. */
function readFolded(raw: Buffer): ReadonlyMap<string, string> | undefined {
  if (!isAscii(raw)) return undefined;
  const text = raw.toString("latin1");
  if (text.includes("\0")) return undefined;
  return readOwn(text) ?? readText(text);
}

function readOwn(text: string): ReadonlyMap<string, string> | undefined {
  if (!text.startsWith(OWN_START)) return undefined;
  let at = OWN_START.length;
  for (let i = 0; i < OWN_HEADS.length; i++) {
    const head = OWN_HEADS[i] as string;
    if (!text.startsWith(head, at)) return undefined;
    at += head.length;
    let length = 0;
    for (; text.charCodeAt(at) !== 0x0d; at++) length = length * 10 + text.charCodeAt(at) - 0x30;
    at += 2;
    // The same map for each: all names are written anew.
    ownFields.set(OWN_NAMES[i] as string, text.slice(at, at + length));
    at += length + 2;
  }
  return ownFields;
}

function readText(text: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  let at = text.indexOf("\n") + 1;
  const next = () => {
    const from = text.indexOf("\n", at) + 1;
    const to = from + Number(text.slice(at + 1, from - 2));
    at = to + 2;
    return text.slice(from, to);
  };
  while (at < text.length) fields.set(next(), next());
  return fields;
}

/** What lies between two fields in a reply: `\r\n$<length>\r\n`. */
const MOST_BETWEEN = 16;

/**
 * The same at a fifth of the cost for what nearly every entry is: ASCII throughout, in one piece of memory as the reply had it. It is made
 * one text, and each field a part of that. Undefined for any other.
 */
function readAscii(raw: readonly Buffer[]): Map<string, string> | undefined {
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
