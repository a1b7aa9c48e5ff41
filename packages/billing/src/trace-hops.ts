// The hops of a deduction's way, with the money moving through it and the time between them. One that was not reached says what can be done.
import { streamKey } from "./keys.ts";
import { type Found, type HoldFound, type Place, type Row, textOf } from "./trace-find.ts";

export type HopName = "Hold" | "Charge" | "Stream entry" | "Delivery" | "usage_log" | "Audit" | "Ack" | "Trimmed";

export type Hop = {
  name: HopName;
  reached: boolean;
  /** ISO 8601; null when the moment is not known or not reached. */
  at: string | null;
  /** Since the last hop before it whose moment is known; null for the first. */
  sincePreviousMs: number | null;
  detail: Record<string, unknown>;
  /** For a hop that was not reached: why, and what can be done. */
  advice?: string;
};

/**
 * `unaccounted`: acked, and not in the books. `exported`: it was in the books, and its rows are in a file of retention. `held`: set aside, and
 * not charged yet. `uncaptured`: served by a gateway that died before it could charge. `released`: set aside and given back. `not_applied`: a
 * credit that Redis does not have yet. `refused`: nothing was charged, and why is in `refusals`.
 */
export type TraceState =
  | "settled"
  | "half_settled"
  | "unread"
  | "pending"
  | "dead_lettered"
  | "unaccounted"
  | "exported"
  | "held"
  | "uncaptured"
  | "released"
  | "not_applied"
  | "refused"
  | "unknown";

export type Delivery = { consumer: string; idleMs: number; count: number; live: boolean };

export function stateOf(found: Found, delivery: Delivery | undefined, unread: boolean): TraceState {
  const { usage, audit, letter, entry, hold, refusals } = found;
  if (usage?.["settled_at"]) return "settled";
  if (audit && !usage) return audit["applied_at"] === null && audit["account_seq"] === null ? "not_applied" : "settled";
  if (delivery) return "pending";
  if (letter && letter["state"] !== "replayed") return "dead_lettered";
  if (usage) return "half_settled";
  if (entry) return unread ? "unread" : "unaccounted";
  if (letter) return "settled"; // closed without a row of its own: a link, or written off
  if (hold?.state === "open" || hold?.state === "expired") return "held";
  if (hold?.state === "uncaptured") return "uncaptured";
  if (hold) return "released";
  return refusals.length > 0 ? "refused" : "unknown";
}

const adviceOf: Partial<Record<TraceState, string>> = {
  unread: "No worker has read it yet: start a worker, or wait for the one that runs.",
  pending: "A worker holds it: a live one will settle it, a dead one's entries are claimed by another within 15 s.",
  dead_lettered: "It is kept as a dead letter with its reason: correct the cause, then replay it.",
  half_settled: "An older worker wrote its row without moving the balance: replay completes it.",
  unaccounted: "It was acked without being written: replay settles it from the stream.",
  exported: "Its rows were exported and removed: they are in a file of retention.",
  held: "The amount is set aside: its capture charges what was used, and when it expires it is given back.",
  uncaptured: "Its gateway died before it could charge: what was delivered by then is not charged.",
  released: "It was given back: nothing was charged.",
  not_applied: "Redis does not have it yet: a running worker or gateway brings it within a second.",
};

type Known = {
  found: Found;
  fields: Record<string, string> | null;
  delivery: Delivery | undefined;
  state: TraceState;
  at: Place | undefined;
};

export function hopsOf(known: Known): Hop[] {
  const { audit, usage } = known.found;
  const hops = [holdHop(known), ...wayHops(known), ...bookHops(known)];
  // A credit is no usage: it has no hold and no row there, and lacks nothing.
  const none = "A credit or repair has none: its record is the audit row.";
  const credit = audit !== undefined && usage === undefined;
  return withTimes(
    hops.map((one) => (credit && (one.name === "Hold" || one.name === "usage_log") ? { ...one, advice: none } : one)),
  );
}

type Untimed = Omit<Hop, "sincePreviousMs">;

function isCharged({ at, found: { usage, letter, audit } }: Known): boolean {
  return at !== undefined || usage !== undefined || letter !== undefined || audit !== undefined;
}

function isDelivered(known: Known): boolean {
  const { delivery, state, found } = known;
  const { usage, letter } = found;
  const seen = delivery !== undefined || usage?.["consumer"] != null || letter !== undefined;
  return isCharged(known) && (seen || state === "unaccounted" || state === "exported" || state === "settled");
}

/** Through Redis. */
function wayHops(known: Known): Untimed[] {
  const { found, fields, delivery, state, at } = known;
  const { usage, letter } = found;
  const charged = isCharged(known);
  const chargedAt = charged
    ? (fields?.["timestamp"] ?? iso(usage?.["created_at"]) ?? iso(found.audit?.["created_at"]))
    : null;
  const place = at ? { stream: streamKey(at.shard), entry_id: at.entryId } : {};
  const held = delivery && {
    consumer: delivery.consumer,
    count: delivery.count,
    idle_ms: delivery.idleMs,
    live: delivery.live,
  };
  const was = {
    consumer: usage?.["consumer"] ?? null,
    count: usage?.["delivery_count"] ?? letter?.["attempts"] ?? null,
  };
  return [
    hop(state, "Charge", charged, chargedAt, charge(found, fields)),
    hop(state, "Stream entry", at !== undefined, at ? idTime(at.entryId) : null, place),
    hop(state, "Delivery", isDelivered(known), null, held ?? was),
  ];
}

/** Into the books, and out of the stream. */
function bookHops(known: Known): Untimed[] {
  const { found, delivery, state, at } = known;
  const { usage, audit, letter, entry } = found;
  const booked = state === "settled";
  const settledAt = iso(usage?.["settled_at"]);
  const auditedAt = booked ? (settledAt ?? (usage ? null : iso(audit?.["applied_at"]))) : null;
  const auditRow = audit ? { id: audit["id"], amount: audit["amount"] } : {};
  const trimmed = at !== undefined && entry === undefined;
  const still = "Still in the stream; cleanup removes it once it is proven settled and old enough.";
  return [
    hop(state, "usage_log", booked && usage !== undefined, settledAt, usageDetail(usage, letter, audit)),
    hop(state, "Audit", booked && audit !== undefined, auditedAt, auditRow),
    hop(state, "Ack", isDelivered(known) && delivery === undefined, null, {}),
    { name: "Trimmed", reached: trimmed, at: null, detail: {}, ...(entry ? { advice: still } : {}) },
  ];
}

function hop(
  state: TraceState,
  name: HopName,
  reached: boolean,
  at: string | null,
  detail: Record<string, unknown>,
): Untimed {
  const advice = adviceOf[state];
  return { name, reached, at, detail, ...(reached || !advice ? {} : { advice }) };
}

/** A capture keeps its hold's id, whose time is that of the opening: so a charge that is later than its id's time had a hold. */
function holdHop({ found, fields }: Known): Untimed {
  const { hold, usage, letter } = found;
  const held = hold ?? inferHold(found, fields);
  if (!held) {
    const none = usage || letter || fields ? { advice: "There was no hold: it was charged directly." } : {};
    return { name: "Hold", reached: false, at: null, detail: {}, ...none };
  }
  return {
    name: "Hold",
    reached: true,
    at: held.openedAt,
    detail: {
      hold_id: held.holdId,
      amount: held.amount,
      state: held.state,
      expires_at: held.expiresAt,
      request_id: held.requestId,
    },
  };
}

function inferHold({ usage, letter }: Found, fields: Record<string, string> | null): HoldFound | undefined {
  const id = fields?.["deduction_id"] ?? textOf(usage?.["deduction_id"]) ?? textOf(letter?.["deduction_id"]) ?? "";
  const openedMs = Number(/^ded_(\d{13})_[0-9a-f]{20}$/.exec(id)?.[1]);
  const chargedMs = Date.parse(fields?.["timestamp"] ?? iso(usage?.["created_at"]) ?? "");
  if (!(openedMs < chargedMs)) return undefined;
  return {
    holdId: id,
    state: "closed",
    accountId: null,
    requestId: fields?.["request_id"] ?? textOf(usage?.["request_id"]) ?? null,
    virtualKey: null,
    provider: null,
    model: null,
    amount: heldAmount(usage?.["metadata_json"]) ?? heldAmount(parsed(fields?.["metadata"])),
    openedAt: new Date(openedMs).toISOString(),
    expiresAt: null,
  };
}

function heldAmount(metadata: unknown): string | null {
  const held = typeof metadata === "object" && metadata !== null && "held" in metadata ? metadata.held : null;
  return typeof held === "string" ? held : null;
}

function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return null;
  }
}

function charge({ usage, letter, audit }: Found, fields: Record<string, string> | null): Record<string, unknown> {
  const read = (name: string) =>
    fields?.[name] ?? usage?.[name] ?? letter?.[name] ?? (usage ? undefined : audit?.[name]) ?? null;
  const isCredit = fields?.["kind"] !== undefined || (audit && !usage);
  return {
    ...(isCredit ? { amount: read("amount"), kind: read("kind") } : { cost: read("cost") }),
    balance_before: read("balance_before"),
    balance_after: read("balance_after"),
    account_seq: read("account_seq"),
  };
}

function usageDetail(usage: Row | undefined, letter: Row | undefined, audit: Row | undefined): Record<string, unknown> {
  if (usage) return { id: usage["id"], balance_check: usage["balance_check"] };
  if (audit || !letter) return {};
  return { dead_letter: letter["id"], error_class: letter["error_class"], error: letter["error_message"] };
}

function withTimes(hops: readonly Untimed[]): Hop[] {
  let previousMs: number | undefined;
  return hops.map((one) => {
    const ms = one.at === null ? Number.NaN : Date.parse(one.at);
    const since = Number.isNaN(ms) || previousMs === undefined ? null : ms - previousMs;
    if (!Number.isNaN(ms)) previousMs = ms;
    return { ...one, sincePreviousMs: since };
  });
}

function idTime(entryId: string): string {
  return new Date(Number(entryId.split("-")[0])).toISOString();
}

function iso(moment: unknown): string | null {
  return moment instanceof Date ? moment.toISOString() : null;
}
