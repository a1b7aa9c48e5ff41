// A stream entry's bytes, so that a person can read them and nothing of them is lost: text where they are UTF-8, and all of them as base64.
import { domain } from "@/server/domain.ts";

/** `text` is null where the bytes are no UTF-8; then `hex` says them. */
export type RawValue = { text: string } | { text: null; hex: string };
export type RawField = { name: RawValue; value: RawValue };

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A field list as Redis has it: name, value, name, value. */
export function readFields(bytes: readonly Buffer[]): RawField[] {
  const fields: RawField[] = [];
  for (let at = 0; at < bytes.length; at += 2)
    fields.push({ name: readValue(bytes[at]), value: readValue(bytes[at + 1]) });
  return fields;
}

/** Of a dead letter: `rawFields` is null when the bytes are no field list any more. */
export function readRaw(raw: Buffer): { base64: string; rawFields: RawField[] | null } {
  const base64 = raw.toString("base64");
  try {
    return { base64, rawFields: readFields(domain.decodeRaw(raw)) };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { base64, rawFields: null };
  }
}

function readValue(bytes: Buffer = Buffer.alloc(0)): RawValue {
  try {
    return { text: utf8.decode(bytes) };
  } catch {
    return { text: null, hex: bytes.toString("hex") };
  }
}
