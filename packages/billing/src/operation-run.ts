// Executing bulk acts. Whoever holds an act's advisory lock executes it: a worker that was given its job, or the command line
// when no worker took it. The lock ends with its holder's connection, so a killed process frees it, and the next one goes on
// with the targets that have no outcome. Should two ever execute at once all the same (the connection broke, the process
// lives), each target's effect is guarded by its own SQL, and its outcome is written once.
import { setTimeout as sleep } from "node:timers/promises";
import type { Billing } from "./billing.ts";
import { LIVE_MS } from "./claim.ts";
import { cleanupPerformer } from "./operation-cleanup.ts";
import {
  type Act,
  actConsumer,
  countsOf,
  enqueue,
  OPERATION_LOCK,
  type Operation,
  type Performer,
  type Run,
  readOperation,
  recordAct,
  type Step,
  type StepItem,
  type StepOutcome,
} from "./operations.ts";
import { inTransaction, isTransient, postgresFailure, type Query } from "./postgres.ts";
import { replayPerformer } from "./replay.ts";

/** What a live consumer holds is settled by it meanwhile, or the consumer turns out to be dead. */
const HELD_MS = LIVE_MS + 4_000;
const HELD_LOOK_MS = 500;
const MAX_TRANSIENT = 10;

const performers: Partial<Record<string, Performer>> = { replay: replayPerformer, cleanup: cleanupPerformer };

/** `busy`: somebody else executes it. `stopped`: the signal. `unknown`: no act of this id that can be executed. */
export type RunOutcome = "finished" | "busy" | "paused" | "stopped" | "unknown";

/**
 * Executes an act until it is over, paused, or the signal aborts. May be called by any number of processes at once. Throws a
 * retryable BillingError when a store is down: then the act goes on when it is called again.
 */
export async function runOperation(billing: Billing, id: string, signal: AbortSignal): Promise<RunOutcome> {
  return await withLock(billing, id, async (lost) => {
    const operation = await readOperation(billing.query, id);
    const performer = operation && performers[operation.action];
    if (!performer) return "unknown";
    if (operation.finishedAt) return "finished";
    const stop = AbortSignal.any([signal, lost]);
    const run = { act: { ...operation }, consumer: actConsumer(operation.action, id), signal: stop };
    return await execute(billing, run, performer);
  });
}

async function execute(billing: Billing, run: Run, performer: Performer): Promise<RunOutcome> {
  const { signal } = run;
  const { id } = run.act;
  const giveUpAt = Date.now() + HELD_MS;
  let held = 0;
  for (let after = 0; ; ) {
    const { control, items } = await readStep(billing.query, id, after, performer.step);
    if (control === "pause") return "paused";
    if (signal.aborted) return "stopped";
    if (control === "abort" || (items.length === 0 && held === 0)) {
      await finish(billing, run, performer, control === "abort");
      return "finished";
    }
    const last = items.at(-1);
    if (!last) {
      await sleep(HELD_LOOK_MS, undefined, { signal }).catch(() => {});
      [after, held] = [0, 0];
      continue;
    }
    const step = await performer.perform(billing, run, items);
    const outcomes = Date.now() < giveUpAt ? step.outcomes : step.outcomes.map(giveUp);
    held += outcomes.filter(({ outcome }) => outcome === "held").length;
    await record(billing, id, { ...step, outcomes });
    billing.observe("operation.recorded", { operation: id, entries: items.length });
    after = last.n;
  }
}

function giveUp(item: StepOutcome): StepOutcome {
  const detail = { error_class: "held_by_live_consumer", message: "a live consumer holds it and has not settled it" };
  return item.outcome === "held" ? { ...item, outcome: "failed", detail } : item;
}

async function readStep(query: Query, id: string, after: number, limit: number) {
  const [act] = await query<{ control: string }>("SELECT control FROM data.operator_action WHERE id = $1", [id]);
  const items = await query<StepItem>(
    `SELECT n, target FROM data.operation_item WHERE operation_id = $1 AND n > $2 AND outcome IS NULL ORDER BY n LIMIT $3`,
    [id, after, limit],
  );
  return { control: act?.control, items };
}

/** An outcome is written once, and with it what depends on it. */
async function record(billing: Billing, id: string, step: Step): Promise<void> {
  const known = step.outcomes.filter(({ outcome }) => outcome !== "held");
  const write = async (query: Query) => {
    const rows = await query<{ n: number }>(
      `UPDATE data.operation_item i SET outcome = o.outcome, detail = o.detail, finished_at = now()
         FROM unnest($2::int[], $3::text[], $4::jsonb[]) AS o(n, outcome, detail)
        WHERE i.operation_id = $1 AND i.n = o.n AND i.outcome IS NULL RETURNING i.n`,
      [
        id,
        known.map(({ n }) => n),
        known.map(({ outcome }) => outcome),
        known.map(({ detail }) => detail && JSON.stringify(detail)),
      ],
    );
    await step.record?.(query, new Set(rows.map(({ n }) => n)));
  };
  for (let attempt = 1; ; attempt++) {
    try {
      return await inTransaction(billing.db, "BEGIN", write);
    } catch (error) {
      if (!isTransient(error) || attempt === MAX_TRANSIENT) throw error;
    }
  }
}

async function finish(billing: Billing, run: Run, performer: Performer, aborted: boolean): Promise<void> {
  const { result = {}, after = null } = await performer.conclude(billing, run);
  await billing.query(finishStatement, [
    run.act.id,
    JSON.stringify({ ...result, ...(aborted ? { aborted } : {}) }),
    JSON.stringify(after),
  ]);
}

const finishStatement = `
UPDATE data.operator_action a SET finished_at = now(), counts = c.counts, result = c.counts || $2::jsonb, after = $3::jsonb
  FROM (SELECT jsonb_build_object(${countsOf}) AS counts FROM data.operation_item WHERE operation_id = $1) c
 WHERE a.id = $1 AND a.finished_at IS NULL`;

/** Holds the act's lock on a connection of its own while `work` runs. `lost` aborts when that connection breaks. */
async function withLock(
  billing: Billing,
  id: string,
  work: (lost: AbortSignal) => Promise<RunOutcome>,
): Promise<RunOutcome> {
  const client = await billing.db.$client.connect().catch((error: unknown) => {
    throw postgresFailure(error);
  });
  const lost = new AbortController();
  const onEnd = () => lost.abort();
  client.on("end", onEnd);
  let broken: Error | undefined;
  // A connection that might still hold the lock must not return to the pool: the lock goes with it.
  const ask = async (sql: string) => {
    try {
      return (await client.query<{ taken: boolean }>(sql, [OPERATION_LOCK, id])).rows[0]?.taken === true;
    } catch (error) {
      broken = error instanceof Error ? error : new Error(String(error));
      throw postgresFailure(error);
    }
  };
  try {
    if (!(await ask("SELECT pg_try_advisory_lock($1, hashtext($2::uuid::text)) AS taken"))) return "busy";
    try {
      return await work(lost.signal);
    } finally {
      await ask("SELECT pg_advisory_unlock($1, hashtext($2::uuid::text)) AS taken");
    }
  } finally {
    client.off("end", onEnd);
    client.release(broken);
  }
}

export type Wish = "pause" | "resume" | "abort";

/**
 * Pauses, resumes or aborts a bulk act; on record as an act of its own. An abort leaves what is done as it is. Returns the act
 * as it is then, undefined when there is none of this id. Of an act that is over nothing changes.
 */
export async function controlOperation(
  billing: Billing,
  id: string,
  wish: Wish,
  act: Act,
): Promise<Operation | undefined> {
  const control = { pause: "pause", resume: "run", abort: "abort" }[wish];
  await inTransaction(billing.db, "BEGIN", async (query) => {
    const [found] = await query<{ control: string; action: string }>(
      "SELECT control, action FROM data.operator_action WHERE id = $1 AND finished_at IS NULL FOR UPDATE",
      [id],
    );
    if (!found || found.control === control || found.control === "abort" || !performers[found.action]) return;
    await query("UPDATE data.operator_action SET control = $2 WHERE id = $1", [id, control]);
    const change = { before: { control: found.control }, after: { control } };
    await recordAct(query, act, { action: wish, targets: [id], ...change, result: { control } });
    if (wish !== "pause") await enqueue(query, id);
  });
  // With nobody who executes it, an abort ends it here; else its executor does before its next step.
  if (wish === "abort") await runOperation(billing, id, new AbortController().signal);
  return await readOperation(billing.query, id);
}

/** Acts that nobody executes and that are to go on: their executor died, or they wait for their first. */
async function findWaiting(query: Query): Promise<string[]> {
  const rows = await query<{ id: string }>(
    `SELECT id FROM data.operator_action WHERE finished_at IS NULL AND control <> 'pause' AND action = ANY($1) ORDER BY started_at`,
    [Object.keys(performers)],
  );
  const operations = await Promise.all(rows.map(({ id }) => readOperation(query, id)));
  return operations.flatMap((operation) =>
    operation?.state === "waiting" || operation?.state === "aborting" ? [operation.id] : [],
  );
}

/** Adds the jobs of acts that wait, so that a worker goes on with them. Returns their ids. */
export async function resumeOperations(billing: Billing): Promise<string[]> {
  const ids = await findWaiting(billing.query);
  for (const id of ids) await inTransaction(billing.db, "BEGIN", (query) => enqueue(query, id));
  return ids;
}
