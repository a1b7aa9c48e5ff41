// What operators do, on record. An act whose effect is in Postgres alone is written in the transaction of its effect
// (`recordAct`). A bulk act is written first, with every target frozen, and then executed target by target
// (operation-run.ts): each target keeps its outcome, so that the act can be paused, aborted, or resumed after a crash.
import { randomUUID } from "node:crypto";
import type { Billing } from "./billing.ts";
import { BillingError } from "./errors.ts";
import { inTransaction, isTransient, type Query } from "./postgres.ts";
import { isUuid } from "./stream.ts";

/** Who acts, in which role, and why. With an `id` of the caller's, the same act asked for again happens once. */
export type Act = { actor: string; role: string; reason: string; id?: string };

/** A target by the name under which it is on record, and what is needed to execute it. */
export type Target = { name: string; target: object };

export type OperationState = "waiting" | "running" | "pausing" | "paused" | "aborting" | "aborted" | "done";

export type OperationCounts = {
  targets: number;
  /** Done by this act. */
  applied: number;
  /** Done before, by whatever way. */
  already: number;
  failed: number;
  /** Not done yet; in an act that is over, what an abort left. */
  left: number;
};

export type Operation = {
  id: string;
  actor: string;
  role: string;
  action: string;
  reason: string;
  state: OperationState;
  /** Null for acts that are no bulk acts. */
  counts: OperationCounts | null;
  before: unknown;
  after: unknown;
  result: unknown;
  startedAt: Date;
  finishedAt: Date | null;
};

export type ItemOutcome = "applied" | "already" | "failed";

export type OperationItem = {
  n: number;
  target: Record<string, unknown>;
  outcome: ItemOutcome | null;
  detail: Record<string, unknown> | null;
  finishedAt: Date | null;
};

/** The act as its executor knows it. */
export type Run = {
  act: Required<Act>;
  /** The name under which it settles and holds entries. */
  consumer: string;
  /** Aborts when the executor is to stop. A long step then ends early, without an outcome for what it did not finish. */
  signal: AbortSignal;
};

export type StepItem = { n: number; target: unknown };

/** `held`: nothing was done, it may be looked at again. */
export type StepOutcome = { n: number; outcome: ItemOutcome | "held"; detail: Record<string, unknown> | null };

export type Step = {
  outcomes: StepOutcome[];
  /** Runs in the transaction that writes the outcomes, for those that had none before. */
  record?: (query: Query, recorded: ReadonlySet<number>) => Promise<void>;
};

/** How one kind of act is executed. */
export type Performer = {
  /** Targets a step. Between two steps the act can be paused or aborted. */
  step: number;
  perform(billing: Billing, run: Run, items: readonly StepItem[]): Promise<Step>;
  /** After the last target, or an abort: what is to be cleared up, and what else the result says. Runs again after a crash. */
  conclude(billing: Billing, run: Run): Promise<{ result?: Record<string, unknown>; after?: unknown }>;
};

/** More targets than these are refused, so that an act stays one that a person can look through. */
export const MAX_TARGETS = 100_000;

/** The queue's job for bulk acts; its payload is `{"operation_id"}`. */
export const OPERATION_JOB = "operation";

/** Executors of an act exclude each other by an advisory lock of this class: "OPER". */
export const OPERATION_LOCK = 0x4f504552;

/** The name under which an act settles and holds entries. */
export function actConsumer(action: string, id: string): string {
  return `${action}-${id}`;
}

/** Whether a consumer is an act, which takes what it was asked to take and reads nothing new: no worker. */
export function isActConsumer(name: string): boolean {
  return /^replay-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(name);
}

/** Throws `invalid_request` unless there is an actor and a reason, and the id, if any, is a UUID. */
export function checkAct(act: Act): void {
  if (act.reason.trim() === "") throw new BillingError("invalid_request", "A reason is needed: it is kept for ever.");
  if (act.actor.trim() === "") throw new BillingError("invalid_request", "An actor is needed.");
  if (act.reason.includes("\0") || act.actor.includes("\0"))
    throw new BillingError("invalid_request", "A reason and an actor are text: they hold no NUL character.");
  if (act.id !== undefined && !isUuid(act.id)) throw new BillingError("invalid_request", "The id of an act is a UUID.");
}

const MAX_TRANSIENT = 10;

/** What an act's row says; moments in it are text. */
export type RecordedAct = { id: string; action: string; before: unknown; after: unknown; result: unknown };

/**
 * Does an act in one transaction, at most once for each `act.id`: who asks again with it, at the same time or later, is answered by
 * `again`, which is given what is on record. `work` writes the act's row (`recordAct`). Deadlocks are tried again.
 * Throws `invalid_request` without actor or reason, or when the id is of another kind of act; what `work` throws;
 * `postgres_unavailable`.
 */
export async function actOnce<T>(
  billing: Pick<Billing, "db">,
  act: Act,
  action: string,
  work: (query: Query, act: Required<Act>) => Promise<T>,
  again: (query: Query, first: RecordedAct) => Promise<T>,
): Promise<T> {
  checkAct(act);
  const once = async (query: Query) => {
    if (act.id === undefined) return await work(query, { ...act, id: randomUUID() });
    // Two at once: the second waits here until the first has committed, and then finds its row.
    await query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [`drawdown.act:${act.id}`]);
    const [first] = await query<RecordedAct>(
      "SELECT id, action, before, after, result FROM data.operator_action WHERE id = $1",
      [act.id],
    );
    if (first === undefined) return await work(query, { ...act, id: act.id });
    if (first.action === action) return await again(query, first);
    throw new BillingError("invalid_request", `The id ${act.id} is of another act, a ${first.action}.`);
  };
  for (let attempt = 1; ; attempt++) {
    try {
      return await inTransaction(billing.db, "BEGIN", once);
    } catch (error) {
      if (!isTransient(error) || attempt === MAX_TRANSIENT) throw error;
    }
  }
}

/** The counts of an act of one target. */
export const ONE_APPLIED: OperationCounts = { targets: 1, applied: 1, already: 0, failed: 0, left: 0 };

export type DoneAct = {
  action: string;
  /** The names of the targets. */
  targets: readonly string[];
  counts?: Partial<OperationCounts>;
  before?: unknown;
  after?: unknown;
  result: unknown;
  /** Of an act of many targets: what became of each. */
  items?: readonly { target: object; outcome: ItemOutcome; detail: Record<string, unknown> | null }[];
};

/** Writes the row of an act that happens in this very transaction. Returns its id. */
export async function recordAct(query: Query, act: Act, done: DoneAct): Promise<string> {
  checkAct(act);
  const id = act.id ?? randomUUID();
  await query(
    `INSERT INTO data.operator_action (id, actor, role, action, reason, targets, counts, before, after, result, finished_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now())`,
    [
      id,
      act.actor,
      act.role,
      done.action,
      act.reason,
      JSON.stringify(done.targets),
      json(done.counts),
      json(done.before),
      json(done.after),
      json(done.result),
    ],
  );
  if (done.items !== undefined)
    await query(
      `INSERT INTO data.operation_item (operation_id, n, target, outcome, detail, finished_at)
       SELECT $1, n, i->'target', i->>'outcome', nullif(i->'detail', 'null'), now()
         FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY AS t(i, n)`,
      [id, JSON.stringify(done.items)],
    );
  return id;
}

function json(value: unknown): string | null {
  return value === undefined || value === null ? null : JSON.stringify(value);
}

/**
 * Writes a bulk act with its frozen targets, and the job that makes a worker execute it. Returns its id; asked for again with
 * the same `act.id` it changes nothing. Throws `invalid_request` for too many targets, `postgres_unavailable`.
 */
export async function startOperation(
  billing: Billing,
  act: Act,
  what: { action: string; targets: readonly Target[]; before?: unknown },
): Promise<string> {
  checkAct(act);
  const { action, targets } = what;
  if (targets.length > MAX_TARGETS)
    throw new BillingError(
      "invalid_request",
      `${targets.length} targets are more than the ${MAX_TARGETS} of one act: narrow them down.`,
    );
  const id = act.id ?? randomUUID();
  await inTransaction(billing.db, "BEGIN", async (query) => {
    const names = JSON.stringify(targets.map(({ name }) => name));
    const written = await query(
      `INSERT INTO data.operator_action (id, actor, role, action, reason, targets, before)
       VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING RETURNING id`,
      [id, act.actor, act.role, action, act.reason, names, json(what.before)],
    );
    if (written.length === 0) return;
    await query(
      `INSERT INTO data.operation_item (operation_id, n, target)
       SELECT $1, n, target FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY AS t(target, n)`,
      [id, JSON.stringify(targets.map(({ target }) => target))],
    );
    await enqueue(query, id);
  });
  return id;
}

/** Adds the job, in place of one that waits already. Where the queue is not installed nothing is added. */
export async function enqueue(query: Query, id: string): Promise<void> {
  const [queue] = await query<{ installed: boolean }>(
    `SELECT to_regprocedure('graphile_worker.add_job(text,json,text,timestamptz,integer,text,integer,text[],text)') IS NOT NULL AS installed`,
  );
  if (!queue?.installed) return;
  await query("SELECT graphile_worker.add_job($1::text, $2::json, job_key := $3::text)", [
    OPERATION_JOB,
    JSON.stringify({ operation_id: id }),
    `${OPERATION_JOB}:${id}`,
  ]);
}

export type OperationRow = Omit<Operation, "state" | "counts"> & {
  control: "run" | "pause" | "abort";
  held: boolean;
  counts: OperationCounts | null;
};

/** The counts of `operation_item` rows as arguments of jsonb_build_object. */
export const countsOf = `'targets', count(*), 'applied', count(*) FILTER (WHERE outcome = 'applied'),
  'already', count(*) FILTER (WHERE outcome = 'already'), 'failed', count(*) FILTER (WHERE outcome = 'failed'),
  'left', count(*) FILTER (WHERE outcome IS NULL)`;

/** Of `x`, an act. Counted while it runs, as it was written when it is over. `held`: somebody executes it at this moment. */
export const operationColumns = `
  x.id, x.actor, x.role, x.action, x.reason, x.before, x.after, x.result, x.control, x.started_at AS "startedAt",
  x.finished_at AS "finishedAt", coalesce(x.counts, (
    SELECT jsonb_build_object(${countsOf}) FROM data.operation_item i WHERE i.operation_id = x.id HAVING count(*) > 0)) AS counts,
  x.finished_at IS NULL AND EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND l.classid = ${OPERATION_LOCK} AND l.objid = (hashtext(x.id::text)::bigint & 4294967295)::oid) AS held`;

/** What the columns say. */
export function readOperationRow({ control, held, ...row }: OperationRow): Operation {
  const aborted = typeof row.result === "object" && row.result !== null && "aborted" in row.result;
  const states = { run: held ? "running" : "waiting", pause: held ? "pausing" : "paused", abort: "aborting" } as const;
  return { ...row, state: row.finishedAt === null ? states[control] : aborted ? "aborted" : "done" };
}

/** One act with its progress; undefined when there is none of this id. */
export async function readOperation(query: Query, id: string): Promise<Operation | undefined> {
  const [row] = await query<OperationRow>(`SELECT ${operationColumns} FROM data.operator_action x WHERE x.id = $1`, [
    id,
  ]);
  return row && readOperationRow(row);
}

export type OperationFilters = { actor?: string; action?: string; unfinished?: boolean };

/** A page of acts, the newest first; `after` is the id of the last one of the page before. */
export async function listOperations(
  query: Query,
  filters: OperationFilters = {},
  page: { limit?: number; after?: string } = {},
): Promise<Operation[]> {
  const rows = await query<OperationRow>(
    `SELECT ${operationColumns} FROM data.operator_action x
      WHERE ($1::text IS NULL OR x.actor = $1) AND ($2::text IS NULL OR x.action = $2)
        AND (NOT $3::boolean OR x.finished_at IS NULL)
        AND ($4::uuid IS NULL OR (x.started_at, x.id) < (SELECT started_at, id FROM data.operator_action WHERE id = $4))
      ORDER BY x.started_at DESC, x.id DESC LIMIT $5`,
    [filters.actor ?? null, filters.action ?? null, filters.unfinished ?? false, page.after ?? null, page.limit ?? 50],
  );
  return rows.map(readOperationRow);
}

/** A page of an act's targets with their outcomes, in their order; `after` is the last `n` of the page before. */
export async function listItems(
  query: Query,
  id: string,
  filters: { outcome?: ItemOutcome | "left" } = {},
  page: { limit?: number; after?: number } = {},
): Promise<OperationItem[]> {
  return await query<OperationItem>(
    `SELECT n, target, outcome, detail, finished_at AS "finishedAt" FROM data.operation_item
      WHERE operation_id = $1 AND n > $2 AND ($3::text IS NULL OR coalesce(outcome, 'left') = $3) ORDER BY n LIMIT $4`,
    [id, page.after ?? 0, filters.outcome ?? null, page.limit ?? 100],
  );
}
