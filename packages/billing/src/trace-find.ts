// What both stores have of an id, whatever kind of id it is: the rows of the books, a dead letter, the entry in its stream, the hold.
import { findRefusals, type RefusalRow } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import { randomOf } from "./hold.ts";
import { holdKey, holdsDueKey, holdsKey, provenKey, shardOf, shardOfStream, streamKey } from "./keys.ts";
import { formatUnits } from "./money.ts";
import { accountOfFields } from "./open-entries.ts";
import { fromBooks } from "./postgres.ts";
import { isUuid, type RawEntry } from "./stream.ts";

export type Row = Record<string, unknown>;

export type Place = { shard: number; entryId: string };

/** A hold as Redis, the books, or what was charged for it remember it. */
export type HoldFound = {
  holdId: string;
  /** `closed`: captured or released; the deduction says which. */
  state: "open" | "expired" | "closed" | "voided" | "uncaptured";
  accountId: string | null;
  requestId: string | null;
  virtualKey: string | null;
  provider: string | null;
  model: string | null;
  /** Units; null when nobody remembers it. */
  amount: string | null;
  openedAt: string | null;
  expiresAt: string | null;
};

export type Found = {
  usage: Row | undefined;
  /** Of the deduction; or the credit or repair itself. */
  audit: Row | undefined;
  letter: Row | undefined;
  entry: RawEntry | undefined;
  hold: HoldFound | undefined;
  refusals: RefusalRow[];
};

const PAGE = 1_000;
const AROUND_MS = 60_000;
const HOLDS_SEARCHED = 5_000;

const LETTER = `SELECT id, stream_key, stream_entry_id, fields, deduction_id, account_id, cost, account_seq, balance_before, balance_after,
  error_class, error_message, attempts, state, created_at, last_attempt_at, history FROM data.dead_letter`;

/** `usage_log:7`, `letter:7` and `audit:7` say which table a number is of; alone it is looked for in this order. */
export async function find(billing: Billing, asked: string): Promise<Found> {
  const [, table, numbered] = /^(usage_log|letter|audit):(\d{1,18})$/.exec(asked) ?? [];
  const [, stream, inStream] = /^(stream:deductions:\d{1,5})\/(\d{1,20}-\d{1,20})$/.exec(asked) ?? [];
  const id = inStream ?? asked;
  const number = numbered ?? (/^\d{1,18}$/.test(id) ? id : null);
  const of = (name: string) => (table === undefined || table === name ? number : null);
  const direct = await findUsage(billing, id, of("usage_log"), stream);
  const letter = await findLetter(billing, direct, id, of("letter"), stream);
  // A letter that is closed has its deduction's row; an open one may be another's of the same id, and has a story of its own.
  const closed = letter?.["state"] === "replayed" ? textOf(letter["deduction_id"]) : undefined;
  const usage = direct ?? (closed === undefined ? undefined : await findUsage(billing, closed, null, undefined));
  const audit = usage
    ? await auditOf(billing, String(usage["deduction_id"]))
    : letter
      ? await findCredit(billing, String(letter["stream_entry_id"]), null, String(letter["stream_key"]))
      : await findCredit(billing, id, of("audit"), stream);
  const ofUsage = usage ? undefined : textOf(audit?.["deduction_id"]);
  if (ofUsage !== undefined) return await find(billing, ofUsage);
  const known: Found = { usage, audit, letter, entry: undefined, hold: undefined, refusals: [] };
  const at = placeOf(known);
  const entry = at ? await readEntry(billing, at) : numbered ? undefined : await searchStreams(billing, id, stream);
  const refusals = await fromBooks(findRefusals(billing.db, id));
  const deduction = textOf(usage?.["deduction_id"]) ?? textOf(letter?.["deduction_id"]);
  const named = deduction ?? (entry && textFields(entry)["deduction_id"]) ?? id;
  const hold = await findHold(billing, named, { ...known, entry });
  return { ...known, entry, hold, refusals };
}

async function findUsage(billing: Billing, id: string, number: string | null, stream: string | undefined) {
  const [usage] = await billing.query(
    `SELECT * FROM data.usage_log WHERE id IN (SELECT id FROM data.usage_log WHERE deduction_id = $1
        UNION SELECT id FROM data.usage_log WHERE request_id = $1
        UNION SELECT id FROM data.usage_log WHERE stream_entry_id = $1 AND ($3::text IS NULL OR stream_key = $3)
        UNION SELECT id FROM data.usage_log WHERE id = $2::bigint) ORDER BY id DESC LIMIT 1`,
    [id, number, stream ?? null],
  );
  return usage;
}

async function findLetter(
  billing: Billing,
  usage: Row | undefined,
  id: string,
  number: string | null,
  stream: string | undefined,
) {
  const [letter] = usage
    ? await billing.query(`${LETTER} WHERE deduction_id = $1 ORDER BY id DESC LIMIT 1`, [usage["deduction_id"]])
    : await billing.query(
        `${LETTER} WHERE deduction_id = $1 OR id = $2::bigint OR fields->>'request_id' = $1
            OR stream_entry_id = $1 AND ($3::text IS NULL OR stream_key = $3) ORDER BY id DESC LIMIT 1`,
        [id, number, stream ?? null],
      );
  return letter;
}

async function auditOf(billing: Billing, deductionId: string) {
  const [audit] = await billing.query("SELECT * FROM data.account_balance_audit WHERE deduction_id = $1", [
    deductionId,
  ]);
  return audit;
}

/** A credit or repair by its row, its reference, or its entry. */
async function findCredit(billing: Billing, id: string, number: string | null, stream: string | undefined) {
  const streams =
    stream === undefined ? Array.from({ length: billing.numShards }, (_, shard) => streamKey(shard)) : [stream];
  const [audit] = await billing.query(
    `SELECT * FROM data.account_balance_audit WHERE id IN (
        SELECT id FROM data.account_balance_audit WHERE id = $2::bigint
        UNION SELECT id FROM data.account_balance_audit WHERE reference = $1
        UNION SELECT id FROM data.account_balance_audit
               WHERE stream_key = ANY($3) AND stream_entry_id = $1 AND deduction_id IS NULL AND account_seq IS NOT NULL)
      ORDER BY id DESC LIMIT 1`,
    [id, number, streams],
  );
  return audit;
}

/** Where the entry stands or stood. */
export function placeOf({ usage, letter, audit, entry }: Found): Place | undefined {
  if (entry) return { shard: entry.shard, entryId: entry.entryId };
  const row = [usage, letter, audit].find((one) => one?.["stream_entry_id"]);
  const shard = shardOfStream(String(row?.["stream_key"]));
  return shard === undefined ? undefined : { shard, entryId: String(row?.["stream_entry_id"]) };
}

async function readEntry(billing: Billing, { shard, entryId }: Place): Promise<RawEntry | undefined> {
  const [row] = await billing.ask((redis) => redis.xrangeBuffer(streamKey(shard), entryId, entryId));
  return row && { shard, entryId, deliveryCount: 0, fields: row[1] };
}

/** An unsettled entry has no row: a deduction id's own time says where to look, anything else is looked for from the mark on. */
async function searchStreams(billing: Billing, id: string, stream: string | undefined): Promise<RawEntry | undefined> {
  const shard = stream === undefined ? undefined : shardOfStream(stream);
  if (shard !== undefined)
    return shard < billing.numShards ? await readEntry(billing, { shard, entryId: id }) : undefined;
  if (/^\d+-\d+$/.test(id)) return await searchRange(billing, id, id, () => true);
  const wanted = Buffer.from(id);
  const matches = (fields: Buffer[]) => fields.some((field, i) => i % 2 === 1 && field.equals(wanted));
  const ms = Number(/^ded_(\d{13})_/.exec(id)?.[1]);
  const near = Number.isNaN(ms)
    ? undefined
    : await searchRange(billing, String(ms - AROUND_MS), String(ms + AROUND_MS), matches);
  return near ?? (await searchRange(billing, undefined, "+", matches));
}

async function searchRange(
  billing: Billing,
  from: string | undefined,
  to: string,
  matches: (fields: Buffer[]) => boolean,
) {
  for (let shard = 0; shard < billing.numShards; shard++) {
    let start = from ?? (await billing.ask((redis) => redis.get(provenKey(shard)))) ?? "-";
    for (;;) {
      const page = await billing.ask((redis) => redis.xrangeBuffer(streamKey(shard), start, to, "COUNT", PAGE));
      const hit = page.find(([, fields]) => matches(fields));
      if (hit) return { shard, entryId: hit[0].toString(), deliveryCount: 0, fields: hit[1] };
      const last = page.at(-1);
      if (!last || page.length < PAGE) break;
      start = `(${last[0].toString()}`;
    }
  }
  return undefined;
}

/** The hold behind a deduction's id; what is nowhere in the books may be an open hold's id, or the request's that opened it. */
async function findHold(billing: Billing, id: string, known: Found): Promise<HoldFound | undefined> {
  const accountId = known.usage?.["account_id"] ?? (known.entry && accountOfFields(known.entry.fields));
  const shards =
    typeof accountId === "string" && isUuid(accountId)
      ? [shardOf(accountId, billing.numShards)]
      : Array.from({ length: billing.numShards }, (_, shard) => shard);
  const inRedis = randomOf(id) === undefined ? undefined : await readHold(billing, shards, id);
  if (inRedis) return inRedis;
  const [row] = await billing.query<Row>(
    "SELECT * FROM data.uncaptured_hold WHERE hold_id = $1 OR request_id = $1 ORDER BY expired_at DESC LIMIT 1",
    [id],
  );
  if (row) return uncaptured(row);
  const nowhere = !known.usage && !known.letter && !known.entry && !known.audit;
  const opened = nowhere ? await searchHolds(billing, id) : undefined;
  return opened === undefined ? undefined : await readHold(billing, shards, opened);
}

function uncaptured(row: Row): HoldFound {
  const text = (name: string) => String(row[name]);
  const moment = (name: string) => (row[name] instanceof Date ? row[name].toISOString() : null);
  return {
    holdId: text("hold_id"),
    state: "uncaptured",
    accountId: text("account_id"),
    requestId: text("request_id"),
    virtualKey: text("virtual_key"),
    provider: text("provider"),
    model: text("model"),
    amount: text("amount"),
    openedAt: moment("opened_at"),
    expiresAt: moment("expired_at"),
  };
}

const RECORD = [
  "account",
  "amount",
  "opened",
  "expires",
  "request_id",
  "virtual_key",
  "provider",
  "model",
  "state",
] as const;

async function readHold(billing: Billing, shards: readonly number[], holdId: string): Promise<HoldFound | undefined> {
  const random = randomOf(holdId) ?? "";
  for (const shard of shards) {
    const values = await billing.ask((redis) => redis.hmget(holdKey(shard, random), ...RECORD));
    const [
      accountId,
      amount,
      opened,
      expires,
      requestId = null,
      virtualKey = null,
      provider = null,
      model = null,
      state,
    ] = values;
    if (!accountId) continue;
    const open = await billing.ask((redis) => redis.hget(holdsKey(shard, accountId), holdId));
    const expiresMs = Number(open?.split(" ")[1] ?? expires);
    const over = state === "voided" ? "voided" : "closed";
    return {
      holdId,
      state: open ? (expiresMs <= Date.now() ? "expired" : "open") : over,
      accountId,
      requestId,
      virtualKey,
      provider,
      model,
      amount: amount ? formatUnits(BigInt(amount)) : null,
      openedAt: isoOf(opened),
      expiresAt: isoOf(String(expiresMs)),
    };
  }
  return undefined;
}

function isoOf(ms: string | null | undefined): string | null {
  return ms && /^\d{1,15}$/.test(ms) ? new Date(Number(ms)).toISOString() : null;
}

/** The id of the open hold that a request opened. Only so many are looked through: it is the last place where an id may be. */
async function searchHolds(billing: Billing, requestId: string): Promise<string | undefined> {
  let searched = 0;
  for (let shard = 0; shard < billing.numShards; shard++) {
    const members = await billing.ask((redis) => redis.zrange(holdsDueKey(shard), "0", String(HOLDS_SEARCHED)));
    for (const member of members) {
      const [, , accountId = ""] = member.split(":");
      const holdIds = await billing.ask((redis) => redis.hkeys(holdsKey(shard, accountId)));
      const requests = await Promise.all(
        holdIds.map((holdId) =>
          billing.ask((redis) => redis.hget(holdKey(shard, randomOf(holdId) ?? ""), "request_id")),
        ),
      );
      const found = holdIds[requests.indexOf(requestId)];
      if (found !== undefined) return found;
      searched += holdIds.length;
      if (searched > HOLDS_SEARCHED) return undefined;
    }
  }
  return undefined;
}

/** Columns of 64 bits and of text arrive as text. */
export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

export function textFields(entry: RawEntry): Record<string, string> {
  const texts = entry.fields.map((bytes) => bytes.toString());
  return Object.fromEntries(texts.flatMap((name, i) => (i % 2 === 0 ? [[name, texts[i + 1] ?? ""]] : [])));
}
