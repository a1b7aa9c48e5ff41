// Entries that can never settle as they stand are kept here with their bytes, and only then acked: never lost, never blocking.
import type { Billing } from "./billing.ts";
import { listOf } from "./fields.ts";
import { streamKey } from "./keys.ts";
import { writeInEpoch } from "./late.ts";
import { formatUnits, parseCost, parseUnits } from "./money.ts";
import type { EntryInHand } from "./stream.ts";

/** Why an entry did not settle, and after how many attempts of its own. */
export type Failure = { errorClass: string; message: string; attempts: number };

/**
 * Keeps one entry. Kept again (the ack failed, or another worker was quicker) it adds its attempts to the row that is there.
 * Throws `postgres_unavailable`: then the entry must not be acked.
 */
export async function keepDeadLetter(billing: Billing, raw: EntryInHand, failure: Failure): Promise<void> {
  const fields = listOf(raw.fields);
  const readable = readableCopy(fields);
  const statement = `INSERT INTO data.dead_letter (stream_key, stream_entry_id, raw, fields, deduction_id, account_id, cost, account_seq,
         balance_before, balance_after, error_class, error_message, attempts)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
     ON CONFLICT (stream_key, stream_entry_id, raw_hash) DO UPDATE SET attempts = data.dead_letter.attempts + EXCLUDED.attempts,
         last_attempt_at = now()`;
  const values = [
    streamKey(raw.shard),
    raw.entryId,
    encodeRaw(fields),
    JSON.stringify(Object.fromEntries(readable)),
    shortened(readable.get("deduction_id")),
    shortened(readable.get("account_id")),
    orNull(() => formatUnits(parseCost(readable.get("cost") ?? ""))),
    orNull(() => seqText(readable.get("account_seq"))),
    orNull(() => formatUnits(parseUnits(readable.get("balance_before") ?? ""))),
    orNull(() => formatUnits(parseUnits(readable.get("balance_after") ?? ""))),
    failure.errorClass,
    printable(Buffer.from(failure.message)).slice(0, 2_000),
    failure.attempts,
  ];
  const accountId = readable.get("account_seq") === undefined ? undefined : readable.get("account_id");
  // What was drawn from no account of ours needs no transaction.
  if (accountId === undefined) await billing.query(statement, values);
  else await writeInEpoch(billing, { entries: [raw], accountOf: () => accountId }, (query) => query(statement, values));
  billing.observe("dead_letter.written", { entry: raw.entryId });
}

/** The bytes of an entry as one value: each field or value is its length (4 bytes, big-endian) and its bytes. */
export function encodeRaw(fields: readonly Buffer[]): Buffer {
  return Buffer.concat(
    fields.flatMap((bytes) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    }),
  );
}

/** The fields that `encodeRaw` made one value of. Throws a RangeError for bytes it did not make. */
export function decodeRaw(raw: Buffer): Buffer[] {
  const fields: Buffer[] = [];
  for (let at = 0; at < raw.length; ) {
    const end = at + 4 + raw.readUInt32BE(at);
    if (end > raw.length) throw new RangeError("the raw entry is cut short");
    fields.push(raw.subarray(at + 4, end));
    at = end;
  }
  return fields;
}

function readableCopy(fields: readonly Buffer[]): Map<string, string> {
  const copy = new Map<string, string>();
  for (let i = 0; i + 1 < fields.length; i += 2)
    copy.set(printable(fields[i] ?? Buffer.alloc(0)), printable(fields[i + 1] ?? Buffer.alloc(0)));
  return copy;
}

/** Text that Postgres takes and a person can read: bytes that are no UTF-8, and NUL, stand as `\xNN`. */
function printable(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  if (!text.includes("\u0000") && Buffer.from(text, "utf8").equals(bytes)) return text;
  return bytes
    .toString("latin1")
    .replace(/[^\x20-\x7e]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

function shortened(text: string | undefined): string | null {
  return text === undefined || text === "" ? null : text.slice(0, 512);
}

function seqText(text: string | undefined): string {
  if (text === undefined || !/^\d{1,18}$/.test(text)) throw new RangeError("no seq");
  return text;
}

function orNull(read: () => string): string | null {
  try {
    return read();
  } catch {
    return null;
  }
}
