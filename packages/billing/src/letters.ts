// Looking through dead letters, and what operators do with them: set aside (discard), take back (restore). Neither moves money:
// a letter's deduction counts as not settled in every state until it is in the books. Each act and each attempt to replay
// stays in the letter's history.
import type { Billing } from "./billing.ts";
import { BillingError } from "./errors.ts";
import { shardOfStream, streamKey } from "./keys.ts";
import { type Act, actOnce, MAX_TARGETS, recordAct } from "./operations.ts";
import type { Query } from "./postgres.ts";

export type LetterState = "open" | "discarded" | "replayed";

export type DeadLetter = {
  /** A 64-bit number as text. */
  id: string;
  streamKey: string;
  shard: number | undefined;
  entryId: string;
  /** A readable copy of the entry's fields. */
  fields: Record<string, string> | null;
  deductionId: string | null;
  accountId: string | null;
  /** Units. */
  cost: string | null;
  accountSeq: string | null;
  balanceBefore: string | null;
  balanceAfter: string | null;
  errorClass: string;
  errorMessage: string;
  attempts: number;
  state: LetterState;
  createdAt: Date;
  lastAttemptAt: Date;
  history: LetterEvent[];
};

/** One line of a letter's history. */
export type LetterEvent = {
  at: string;
  act: "discard" | "restore" | "replay";
  actor: string;
  reason: string;
  operation_id: string;
  /** Of a replay. */
  outcome?: "applied" | "already" | "failed";
  error_class?: string;
  error_message?: string;
};

export type LetterFilters = {
  /** Letter ids, stream entry ids or deduction ids. */
  ids?: readonly string[];
  shards?: readonly number[];
  states?: readonly LetterState[];
  errorClass?: string;
  accountId?: string;
  /** Only letters kept at least this long ago. */
  olderThanMs?: number;
  /** Kept at or after, and before, these moments. */
  from?: Date;
  to?: Date;
};

/** The condition of a filter on `data.dead_letter d`; its values are appended to `values`. */
export function letterCondition(filters: LetterFilters, values: unknown[]): string {
  const bind = (value: unknown) => `$${values.push(value)}`;
  const { ids, shards, states, errorClass, accountId, olderThanMs, from, to } = filters;
  const conditions = ["true"];
  if (ids !== undefined) {
    const wanted = bind(ids);
    conditions.push(
      `(d.id::text = ANY(${wanted}) OR d.stream_entry_id = ANY(${wanted}) OR d.deduction_id = ANY(${wanted})
        OR d.stream_key || '/' || d.stream_entry_id = ANY(${wanted}))`,
    );
  }
  if (shards !== undefined) conditions.push(`d.stream_key = ANY(${bind(shards.map(streamKey))})`);
  // One state by equality: with the keyset of ids that is one range of dead_letter_state_index.
  if (states?.length === 1) conditions.push(`d.state = ${bind(states[0])}`);
  else if (states !== undefined) conditions.push(`d.state = ANY(${bind(states)})`);
  if (errorClass !== undefined) conditions.push(`d.error_class = ${bind(errorClass)}`);
  if (accountId !== undefined) conditions.push(`d.account_id = ${bind(accountId)}`);
  if (olderThanMs !== undefined)
    conditions.push(`d.created_at <= now() - ${bind(olderThanMs)}::bigint * interval '1 millisecond'`);
  if (from !== undefined) conditions.push(`d.created_at >= ${bind(from)}`);
  if (to !== undefined) conditions.push(`d.created_at < ${bind(to)}`);
  return conditions.join(" AND ");
}

type Row = Omit<DeadLetter, "shard">;

/** A page of letters, the newest first; `after` is the id of the last one of the page before. Throws `postgres_unavailable`. */
export async function listDeadLetters(
  query: Query,
  filters: LetterFilters = {},
  page: { limit?: number; after?: string } = {},
): Promise<DeadLetter[]> {
  const values: unknown[] = [page.limit ?? 100];
  const rows = await query<Row>(
    `SELECT d.id, d.stream_key AS "streamKey", d.stream_entry_id AS "entryId", d.fields, d.deduction_id AS "deductionId",
            d.account_id AS "accountId", d.cost, d.account_seq AS "accountSeq", d.balance_before AS "balanceBefore",
            d.balance_after AS "balanceAfter", d.error_class AS "errorClass", d.error_message AS "errorMessage", d.attempts,
            d.state, d.created_at AS "createdAt", d.last_attempt_at AS "lastAttemptAt", d.history
       FROM data.dead_letter d
      WHERE ${page.after === undefined ? "true" : `d.id < $${values.push(page.after)}::bigint`} AND ${letterCondition(filters, values)}
      ORDER BY d.id DESC LIMIT $1`,
    values,
  );
  return rows.map((row) => ({ ...row, shard: shardOfStream(row.streamKey) }));
}

/** How many letters a filter finds. */
export async function countDeadLetters(query: Query, filters: LetterFilters = {}): Promise<number> {
  const values: unknown[] = [];
  const sql = `SELECT count(*) AS count FROM data.dead_letter d WHERE ${letterCondition(filters, values)}`;
  return Number((await query<{ count: string }>(sql, values))[0]?.count ?? 0);
}

/**
 * The ids of the letters that a filter finds at this moment, by id: the frozen set of an act that is previewed first. Throws
 * `invalid_request` for more than one act may have.
 */
export async function findLetterIds(query: Query, filters: LetterFilters): Promise<string[]> {
  const values: unknown[] = [MAX_TARGETS + 1];
  const sql = `SELECT d.id FROM data.dead_letter d WHERE ${letterCondition(filters, values)} ORDER BY d.id LIMIT $1`;
  const rows = await query<{ id: string }>(sql, values);
  if (rows.length > MAX_TARGETS)
    throw new BillingError("invalid_request", `More than ${MAX_TARGETS} letters match: narrow them down.`);
  return rows.map(({ id }) => id);
}

/** What became of letters: changed now; that way before; in the books, so neither; not there. */
export type LetterActResult = {
  operationId: string | null;
  changed: string[];
  already: string[];
  replayed: string[];
  missing: string[];
};

/** Letters by their ids, or all that a filter finds at that moment. */
export type LetterSelection = readonly string[] | LetterFilters;

/** Sets letters aside. Undone by `restoreLetters`. Throws `invalid_request` without a reason, or for too many at once. */
export async function discardLetters(billing: Billing, which: LetterSelection, act: Act): Promise<LetterActResult> {
  return await moveLetters(billing, which, act, { act: "discard", from: "open", to: "discarded" });
}

/** Takes discarded letters back among the open ones. */
export async function restoreLetters(billing: Billing, which: LetterSelection, act: Act): Promise<LetterActResult> {
  return await moveLetters(billing, which, act, { act: "restore", from: "discarded", to: "open" });
}

type Move = { act: "discard" | "restore"; from: LetterState; to: LetterState };
type Found = { id: string; state: LetterState };

async function lockLetters(query: Query, which: LetterSelection): Promise<Found[]> {
  const values: unknown[] = [MAX_TARGETS + 1];
  const condition = isIds(which)
    ? `d.id = ANY($${values.push(which.filter((id) => /^\d{1,18}$/.test(id)))}::bigint[])`
    : letterCondition(which, values);
  const sql = `SELECT d.id, d.state FROM data.dead_letter d WHERE ${condition} ORDER BY d.id LIMIT $1 FOR UPDATE`;
  const found = await query<Found>(sql, values);
  if (found.length > MAX_TARGETS)
    throw new BillingError("invalid_request", `More than ${MAX_TARGETS} letters match: narrow them down.`);
  return found;
}

function isIds(which: LetterSelection): which is readonly string[] {
  return Array.isArray(which);
}

async function moveLetters(billing: Billing, which: LetterSelection, act: Act, move: Move): Promise<LetterActResult> {
  const moveOnce = async (query: Query, once: Required<Act>): Promise<LetterActResult> => {
    const found = await lockLetters(query, which);
    const ids = isIds(which) ? [...new Set(which)] : found.map((letter) => letter.id);
    if (ids.length > MAX_TARGETS)
      throw new BillingError("invalid_request", `${ids.length} letters are more than the ${MAX_TARGETS} of one act.`);
    const states = new Map(found.map(({ id, state }) => [id, state]));
    const those = (state: LetterState) => ids.filter((id) => states.get(id) === state);
    const result = {
      changed: those(move.from),
      already: those(move.to),
      replayed: those("replayed"),
      missing: ids.filter((one) => !states.has(one)),
    };
    if (result.changed.length === 0) return { operationId: null, ...result };
    await query(`UPDATE data.dead_letter SET state = $2, history = history || $3::jsonb WHERE id = ANY($1::bigint[])`, [
      result.changed,
      move.to,
      JSON.stringify([letterEvent(once, { act: move.act })]),
    ]);
    const { length: applied } = result.changed;
    const { length: already } = result.already;
    await recordAct(query, once, {
      action: move.act,
      targets: ids,
      counts: { targets: ids.length, applied, already, failed: ids.length - applied - already, left: 0 },
      before: { state: move.from },
      after: { state: move.to },
      result,
      items: ids.map((id) => ({
        target: { kind: "dead_letter", dead_letter_id: id },
        ...became(states.get(id), move),
      })),
    });
    return { operationId: once.id, ...result };
  };
  return await actOnce(billing, act, move.act, moveOnce, async (_, { id, result }) => ({
    operationId: id,
    ...(result as Omit<LetterActResult, "operationId">),
  }));
}

function became(state: LetterState | undefined, move: Move) {
  const failed = (errorClass: string, message: string) =>
    ({ outcome: "failed", detail: { error_class: errorClass, message } }) as const;
  if (state === undefined) return failed("gone", "there is no such dead letter");
  if (state === "replayed") return failed("replayed", "it was replayed, so it is in the books");
  return { outcome: state === move.from ? ("applied" as const) : ("already" as const), detail: null };
}

/** A line for the history, at this moment. */
export function letterEvent(
  act: Act & { id: string },
  event: Pick<LetterEvent, "act" | "outcome" | "error_class" | "error_message">,
): LetterEvent {
  return { at: new Date().toISOString(), actor: act.actor, reason: act.reason, operation_id: act.id, ...event };
}
