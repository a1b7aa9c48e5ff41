// One deduction's story from any id: charge → entry → delivery → rows → ack → trimmed. A hop that was not reached is named,
// with what can be done about it.
import { findRefusals, type RefusalRow } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import { readConsumers } from "./claim.ts";
import { GROUP, provenKey, shardOfStream, streamKey } from "./keys.ts";
import { fromBooks } from "./postgres.ts";
import { replyArray } from "./redis.ts";
import { fieldOf } from "./stats.ts";
import type { RawEntry } from "./stream.ts";

export type Hop = {
  name: "Charge" | "Stream entry" | "Delivery" | "usage_log" | "Audit" | "Ack" | "Trimmed";
  reached: boolean;
  /** ISO 8601; null when the moment is not known or not reached. */
  at: string | null;
  detail: Record<string, unknown>;
  /** For a hop that was not reached: why, and what can be done. */
  advice?: string;
};

export type Trace = {
  id: string;
  /** `unaccounted`: acked, and not in the books. `refused`: nothing was charged, and why is in `refusals`. */
  state: "settled" | "half_settled" | "unread" | "pending" | "dead_lettered" | "unaccounted" | "refused" | "unknown";
  deductionId: string | null;
  hops: Hop[];
  /** The entry's fields as text, while it is in the stream. */
  entry: Record<string, string> | null;
  usageLog: Record<string, unknown> | null;
  audit: Record<string, unknown> | null;
  deadLetter: Record<string, unknown> | null;
  /** Why a request of this id was refused for want of money, the newest first; it may have been sent again and charged. */
  refusals: RefusalRow[];
};

type Found = {
  usage: Record<string, unknown> | undefined;
  audit: Record<string, unknown> | undefined;
  letter: Record<string, unknown> | undefined;
  entry: RawEntry | undefined;
};

type Delivery = { consumer: string; idleMs: number; count: number; live: boolean };

const PAGE = 1_000;
const AROUND_MS = 60_000;

/** Resolves a deduction, request, stream entry, usage_log row or dead letter. Throws what is unreachable. */
export async function trace(billing: Billing, id: string): Promise<Trace> {
  const found = await find(billing, id);
  const at = placeOf(found);
  const delivery = at && found.entry ? await readDelivery(billing, at.shard, at.entryId) : undefined;
  const unread = at && found.entry ? await isUnread(billing, at.shard, at.entryId) : false;
  const refusals = await fromBooks(findRefusals(billing.db, id));
  const state = stateOf(found, delivery, unread, refusals.length > 0);
  const fields = found.entry ? textFields(found.entry) : null;
  const deductionId = found.usage?.deduction_id ?? found.letter?.deduction_id ?? fields?.deduction_id;
  return {
    id,
    state,
    deductionId: typeof deductionId === "string" ? deductionId : null,
    hops: state === "unknown" || state === "refused" ? [] : hopsOf(found, fields, delivery, state, at),
    entry: fields,
    usageLog: found.usage ?? null,
    audit: found.audit ?? null,
    deadLetter: found.letter ?? null,
    refusals,
  };
}

async function find(billing: Billing, id: string): Promise<Found> {
  const number = /^\d{1,18}$/.test(id) ? id : null;
  const [usage] = await billing.query(
    `SELECT * FROM data.usage_log WHERE id IN (SELECT id FROM data.usage_log WHERE deduction_id = $1
        UNION SELECT id FROM data.usage_log WHERE request_id = $1 UNION SELECT id FROM data.usage_log WHERE stream_entry_id = $1
        UNION SELECT id FROM data.usage_log WHERE id = $2::bigint) ORDER BY id DESC LIMIT 1`,
    [id, number],
  );
  const [letter] = await billing.query(
    `SELECT id, stream_key, stream_entry_id, fields, deduction_id, account_id, cost, account_seq, error_class, error_message, attempts,
            state, created_at FROM data.dead_letter
      WHERE deduction_id = $1 OR stream_entry_id = $1 OR id = $2::bigint OR fields->>'request_id' = $1 ORDER BY id DESC LIMIT 1`,
    [id, usage ? null : number],
  );
  const [audit] = usage
    ? await billing.query("SELECT * FROM data.account_balance_audit WHERE deduction_id = $1", [usage.deduction_id])
    : [];
  const known = { usage, audit, letter, entry: undefined };
  const at = placeOf(known);
  const entry = at ? await readEntry(billing, at.shard, at.entryId) : await searchStreams(billing, id);
  return { ...known, entry };
}

/** Where the entry stands or stood. */
function placeOf({ usage, letter, entry }: Found): { shard: number; entryId: string } | undefined {
  if (entry) return { shard: entry.shard, entryId: entry.entryId };
  const row = usage?.stream_entry_id ? usage : letter;
  const shard = shardOfStream(String(row?.stream_key));
  return shard === undefined ? undefined : { shard, entryId: String(row?.stream_entry_id) };
}

async function readEntry(billing: Billing, shard: number, entryId: string): Promise<RawEntry | undefined> {
  const [row] = await billing.ask((redis) => redis.xrangeBuffer(streamKey(shard), entryId, entryId));
  return row && { shard, entryId, deliveryCount: 0, fields: row[1] };
}

/** An unsettled entry has no row: a deduction id's own time says where to look, anything else is looked for from the mark on. */
async function searchStreams(billing: Billing, id: string): Promise<RawEntry | undefined> {
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

async function readDelivery(billing: Billing, shard: number, entryId: string): Promise<Delivery | undefined> {
  const rows = await billing
    .ask((redis) => redis.xpending(streamKey(shard), GROUP, entryId, entryId, 1))
    .catch(() => []);
  const [row] = replyArray(rows);
  if (row === undefined) return undefined;
  const [, consumer, idle, count] = replyArray(row);
  const owner = (await readConsumers(billing, shard)).find((one) => one.name === String(consumer));
  return {
    consumer: String(consumer),
    idleMs: Number(idle),
    count: Number(count),
    live: owner !== undefined && owner.idleMs < 10_000,
  };
}

async function isUnread(billing: Billing, shard: number, entryId: string): Promise<boolean> {
  const groups = replyArray(await billing.ask((redis) => redis.xinfo("GROUPS", streamKey(shard))));
  const group = groups.find((one) => fieldOf(one, "name") === GROUP);
  if (group === undefined) return true;
  const [lastMs = 0n, lastSeq = 0n] = String(fieldOf(group, "last-delivered-id")).split("-").map(BigInt);
  const [ms = 0n, seq = 0n] = entryId.split("-").map(BigInt);
  return ms > lastMs || (ms === lastMs && seq > lastSeq);
}

function stateOf(
  { usage, letter, entry }: Found,
  delivery: Delivery | undefined,
  unread: boolean,
  refused: boolean,
): Trace["state"] {
  if (usage?.settled_at) return "settled";
  if (delivery) return "pending";
  if (letter && letter.state !== "replayed") return "dead_lettered";
  if (usage) return "half_settled";
  if (!entry) return refused ? "refused" : "unknown";
  return unread ? "unread" : "unaccounted";
}

const adviceOf: Partial<Record<Trace["state"], string>> = {
  unread: "No worker has read it yet: start a worker, or wait for the one that runs.",
  pending: "A worker holds it: a live one will settle it, a dead one's entries are claimed by another within 15 s.",
  dead_lettered: "It is kept as a dead letter with its reason: correct the cause, then replay it.",
  half_settled: "An older worker wrote its row without moving the balance: replay completes it.",
  unaccounted: "It was acked without being written: replay settles it from the stream.",
};

function hopsOf(
  found: Found,
  fields: Record<string, string> | null,
  delivery: Delivery | undefined,
  state: Trace["state"],
  at: { shard: number; entryId: string } | undefined,
): Hop[] {
  const { usage, audit, letter, entry } = found;
  const settled = state === "settled";
  const before = fields?.balance_before ?? usage?.balance_before ?? letter?.balance_before ?? null;
  const after = fields?.balance_after ?? usage?.balance_after ?? letter?.balance_after ?? null;
  const charged = fields?.timestamp ?? iso(usage?.created_at);
  const delivered =
    delivery !== undefined || usage?.consumer != null || letter !== undefined || state === "unaccounted";
  const hop = (name: Hop["name"], reached: boolean, moment: string | null, detail: Record<string, unknown>): Hop => {
    const advice = adviceOf[state];
    return { name, reached, at: moment, detail, ...(reached || !advice ? {} : { advice }) };
  };
  return [
    hop("Charge", true, charged, {
      cost: fields?.cost ?? usage?.cost ?? letter?.cost ?? null,
      balance_before: before,
      balance_after: after,
      account_seq: fields?.account_seq ?? usage?.account_seq ?? null,
    }),
    hop(
      "Stream entry",
      at !== undefined,
      at ? idTime(at.entryId) : null,
      at ? { stream: streamKey(at.shard), entry_id: at.entryId } : {},
    ),
    hop(
      "Delivery",
      delivered,
      null,
      delivery
        ? { consumer: delivery.consumer, count: delivery.count, idle_ms: delivery.idleMs, live: delivery.live }
        : { consumer: usage?.consumer ?? null, count: usage?.delivery_count ?? null },
    ),
    hop(
      "usage_log",
      settled,
      iso(usage?.settled_at),
      usage
        ? { id: usage.id, balance_check: usage.balance_check }
        : letter
          ? { dead_letter: letter.id, error_class: letter.error_class, error: letter.error_message }
          : {},
    ),
    hop(
      "Audit",
      settled && audit !== undefined,
      settled ? iso(usage?.settled_at) : null,
      audit ? { id: audit.id, amount: audit.amount } : {},
    ),
    hop("Ack", delivered && delivery === undefined, null, {}),
    {
      name: "Trimmed",
      reached: at !== undefined && entry === undefined,
      at: null,
      detail: {},
      ...(entry ? { advice: "Still in the stream; cleanup removes it once it is proven settled and old enough." } : {}),
    },
  ];
}

function textFields(entry: RawEntry): Record<string, string> {
  const texts = entry.fields.map((bytes) => bytes.toString());
  return Object.fromEntries(texts.flatMap((name, i) => (i % 2 === 0 ? [[name, texts[i + 1] ?? ""]] : [])));
}

function idTime(entryId: string): string {
  return new Date(Number(entryId.split("-")[0])).toISOString();
}

function iso(moment: unknown): string | null {
  return moment instanceof Date ? moment.toISOString() : null;
}
