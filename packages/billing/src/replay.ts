// Settling again what did not settle: entries that a dead consumer holds, dead letters, and what was acked without being in
// the books. It is the same `settle` that workers call, and the guard against a second charge is in its SQL, so a replay may
// run twice, from two places, and while workers consume. Redis was charged when the entry was written: nothing of the account
// moves there; only acks, and the holder of a pending entry, change.
import type { Billing } from "./billing.ts";
import { isLive, LIVE_MS, readConsumers } from "./claim.ts";
import { keepDeadLetter } from "./dead-letters.ts";
import { GROUP, streamKey } from "./keys.ts";
import { removeEmptyConsumer } from "./leave.ts";
import { type LetterEvent, letterEvent } from "./letters.ts";
import {
  type Act,
  checkAct,
  type Performer,
  type Run,
  type StepItem,
  type StepOutcome,
  startOperation,
} from "./operations.ts";
import { readEntries, readEntry, readHoldings, takeOver } from "./pending.ts";
import type { Query } from "./postgres.ts";
import { proveShard } from "./proven.ts";
import { type LetterRow, type ReplaySelection, type ReplayTarget, readLetter } from "./replay-find.ts";
import { findBookedIds, planReplay, type ReplayPlan } from "./replay-plan.ts";
import { settle } from "./settle.ts";
import type { Entry, RawEntry } from "./stream.ts";

const STEP = 100;
/** As workers do: when more of a step fails with a database error, the books are at fault and not the entries. */
const POISON_RATE = 0.1;

/** Freezes a plan as an act to be executed. A plan without targets is no act, and has no id. */
export async function freezeReplay(billing: Billing, plan: ReplayPlan, act: Act): Promise<string | null> {
  checkAct(act);
  const { targets, classes: before } = plan;
  return targets.length === 0 ? null : await startOperation(billing, act, { action: "replay", targets, before });
}

/** Plans and freezes at once. */
export async function startReplay(
  billing: Billing,
  selection: ReplaySelection,
  act: Act,
): Promise<{ operationId: string | null; plan: ReplayPlan }> {
  const plan = await planReplay(billing, selection);
  return { operationId: await freezeReplay(billing, plan, act), plan };
}

export const replayPerformer: Performer = { step: STEP, perform, conclude };

/** One target on its way: either its entry is at hand, or what became of it is known. */
type Work = {
  n: number;
  target: ReplayTarget;
  raw?: RawEntry;
  entry?: Entry;
  outcome?: StepOutcome["outcome"];
  failure?: Failure;
  /** The letter's state before. */
  letter?: "open" | "replayed";
  /** To be acked: it is pending, and under no live consumer's name. */
  pending?: boolean;
};

type Failure = { errorClass: string; message: string; database: boolean };

async function perform(billing: Billing, run: Run, items: readonly StepItem[]) {
  const work: Work[] = items.map(({ n, target }) => ({ n, target: target as ReplayTarget }));
  await gather(billing, run, work);
  billing.observe("replay.gathered", { entries: work.length });
  await settleAll(billing, run, work);
  billing.observe("replay.settled", { entries: work.length });
  await keepFailures(billing, work);
  await ackSettled(billing, work);
  return {
    outcomes: work.map(outcomeOf),
    record: (query: Query, recorded: ReadonlySet<number>) =>
      noteLetters(
        query,
        run,
        work.filter(({ n }) => recorded.has(n)),
      ),
  };
}

/** Brings each target's entry to hand. */
async function gather(billing: Billing, run: Run, work: readonly Work[]): Promise<void> {
  const byShard = Map.groupBy(
    work.filter(({ target }) => target.kind !== "dead_letter"),
    ({ target }) => target.shard,
  );
  for (const [shard, inShard] of byShard) {
    await gatherEntries(billing, shard, inShard);
    const pending = inShard.filter(({ target }) => target.kind === "pending");
    if (pending.length > 0) await gatherPending(billing, run, shard, pending);
  }
  await gatherLetters(
    billing,
    work.filter(({ target }) => target.kind === "dead_letter"),
  );
  for (const one of work) {
    if (!one.raw || one.outcome || one.failure) continue;
    const { entry, unreadable } = readEntry(one.raw);
    if (entry) one.entry = entry;
    if (unreadable) one.failure = { ...unreadable, database: false };
  }
}

/** From the stream. What is not there any more is in the books by the place its rows name, or it is lost and says so. */
async function gatherEntries(billing: Billing, shard: number, work: readonly Work[]): Promise<void> {
  const ids = work.map(({ target }) => target.entry_id);
  const epoch = await billing.fence.epoch(shard);
  const inStream = await readEntries(billing, shard, ids);
  const booked = await findBookedIds(
    billing,
    shard,
    ids.filter((id) => !inStream.has(id)),
  );
  for (const one of work) {
    const entryId = one.target.entry_id;
    const fields = inStream.get(entryId);
    one.raw = { shard, entryId, deliveryCount: 0, fields: fields ?? [], epoch };
    if (fields === undefined && booked.has(entryId)) one.outcome = "already";
  }
}

/** Takes the entries of dead consumers over. What a live one holds stays with it. */
async function gatherPending(billing: Billing, run: Run, shard: number, work: readonly Work[]): Promise<void> {
  const consumers = await readConsumers(billing, shard);
  const holdings = await Promise.all(
    work.map(async ({ target }) => (await readHoldings(billing, shard, target.entry_id, target.entry_id, 1))[0]),
  );
  const claimable: Work[] = [];
  work.forEach((one, i) => {
    const holding = holdings[i];
    if (!holding) return; // acked since: by a worker that settled it, or by an older one that did not
    const mine = holding.consumer === run.consumer;
    // Taking it over is one more delivery.
    one.raw = { ...(one.raw as RawEntry), deliveryCount: holding.deliveries + (mine ? 0 : 1) };
    const held = !mine && isLive(consumers, holding.consumer);
    if (held) one.outcome ??= "held";
    else one.pending = true;
    // What is gone from the stream cannot be claimed: claiming it would only drop it from the list.
    if (!held && !mine && one.raw.fields.length > 0) claimable.push(one);
  });
  const ids = claimable.map(({ target }) => target.entry_id);
  const claimed = new Set((await takeOver(billing, shard, run.consumer, ids, LIVE_MS)).map(({ entryId }) => entryId));
  for (const one of claimable) {
    if (claimed.has(one.target.entry_id)) continue;
    one.outcome = "held"; // another was quicker
    one.pending = false;
  }
}

async function gatherLetters(billing: Billing, work: readonly Work[]): Promise<void> {
  if (work.length === 0) return;
  const rows = await billing.query<LetterRow>(
    "SELECT id, stream_key, stream_entry_id, raw, state FROM data.dead_letter WHERE id = ANY($1::bigint[])",
    [work.map(({ target }) => target.dead_letter_id)],
  );
  const letters = new Map(rows.map((row) => [row.id, row]));
  for (const one of work) {
    const row = letters.get(one.target.dead_letter_id ?? "");
    if (!row) one.failure = { errorClass: "gone", message: "the dead letter is gone", database: false };
    else if (row.state === "discarded")
      one.failure = { errorClass: "discarded", message: "discarded since: restore it first", database: false };
    else {
      const { raw, unreadable } = readLetter(row);
      one.raw = raw;
      one.letter = row.state;
      if (unreadable && row.state === "open") one.failure = { ...unreadable, database: false };
      else if (unreadable) one.outcome = "already";
    }
  }
}

async function settleAll(billing: Billing, run: Run, work: readonly Work[]): Promise<void> {
  const readable = work.flatMap((one) =>
    one.entry && !one.outcome && !one.failure ? [{ one, entry: one.entry }] : [],
  );
  // A closed letter is never settled again: its deduction is in the books, or an operator wrote it off.
  const before = readable.filter(({ one }) => one.letter === "replayed");
  const ready = readable.filter(({ one }) => one.letter !== "replayed");
  const outcomes = await settle(
    billing,
    ready.map(({ entry }) => entry),
    run.consumer,
  );
  ready.forEach((item, i) => {
    const outcome = outcomes[i];
    if (outcome?.outcome === "poison") item.one.failure = outcome;
    else if (outcome?.outcome === "settled") item.one.outcome = "applied";
    else before.push(item);
  });
  const own = await settledByThisAct(
    billing,
    run,
    before.map(({ entry }) => entry),
  );
  for (const { one, entry } of before) one.outcome = own.has(placeOf(entry)) ? "applied" : "already";
}

/** A crash may come between an entry's commit and its outcome here: then its row names this act as its consumer. */
async function settledByThisAct(billing: Billing, run: Run, entries: readonly Entry[]): Promise<Set<string>> {
  const usage = entries.flatMap((entry) => (entry.kind === "usage" ? [entry.deductionId] : []));
  if (usage.length === 0) return new Set();
  const rows = await billing.query<{ place: string }>(
    `SELECT stream_key || '/' || stream_entry_id AS place FROM data.usage_log WHERE deduction_id = ANY($1) AND consumer = $2`,
    [usage, run.consumer],
  );
  return new Set(rows.map((row) => row.place));
}

function placeOf(entry: Entry): string {
  return `${streamKey(entry.shard)}/${entry.entryId}`;
}

/** An entry that failed alone becomes a dead letter with its bytes. Where too much fails it stays where it is. */
async function keepFailures(billing: Billing, work: readonly Work[]): Promise<void> {
  const byDatabase = work.filter(({ failure }) => failure?.database).length;
  const booksAtFault = work.length >= STEP && byDatabase > work.length * POISON_RATE;
  for (const one of work) {
    const { failure, raw, target } = one;
    // Nothing is left to keep of an entry that is neither in the stream nor in the group's list.
    if (!failure || !raw || target.kind === "dead_letter" || (raw.fields.length === 0 && !one.pending)) continue;
    if (failure.database && booksAtFault) one.pending = false;
    else await keepDeadLetter(billing, raw, { ...failure, attempts: 1 });
  }
}

async function ackSettled(billing: Billing, work: readonly Work[]): Promise<void> {
  const done = work.filter(
    ({ pending, outcome, failure }) => pending && (outcome !== undefined || failure) && outcome !== "held",
  );
  for (const [shard, entries] of Map.groupBy(done, ({ target }) => target.shard))
    await billing.ask((redis) => redis.xack(streamKey(shard), GROUP, ...entries.map(({ target }) => target.entry_id)));
}

function outcomeOf({ n, outcome, failure }: Work): StepOutcome {
  if (failure) return { n, outcome: "failed", detail: { error_class: failure.errorClass, message: failure.message } };
  return { n, outcome: outcome ?? "failed", detail: null };
}

/** In the transaction of the outcomes: each letter's history, its next attempt, and its end. */
async function noteLetters(query: Query, run: Run, work: readonly Work[]): Promise<void> {
  for (const { letter, target, outcome, failure } of work) {
    // Closed before: by another way, or by this act in a run that crashed before it was noted.
    if (!letter || (letter === "replayed" && outcome !== "applied")) continue;
    const event = (more: Pick<LetterEvent, "outcome" | "error_class" | "error_message">) =>
      JSON.stringify([letterEvent(run.act, { act: "replay", ...more })]);
    if (failure) {
      const line = event({ outcome: "failed", error_class: failure.errorClass, error_message: failure.message });
      await query(
        `UPDATE data.dead_letter SET attempts = attempts + 1, last_attempt_at = now(), error_class = $2, error_message = $3,
            history = history || $4::jsonb WHERE id = $1 AND state <> 'replayed'`,
        [target.dead_letter_id, failure.errorClass, failure.message, line],
      );
    } else if (outcome === "applied" || outcome === "already") {
      const sql = "UPDATE data.dead_letter SET state = 'replayed', history = history || $2::jsonb WHERE id = $1";
      await query(sql, [target.dead_letter_id, event({ outcome })]);
    }
  }
}

/** What is settled is no longer unaccounted; and the name under which entries were taken over goes. */
async function conclude(billing: Billing, run: Run) {
  const shards = await billing.query<{ shard: number; pending: boolean; settled: string; others: string }>(
    `SELECT (target->>'shard')::int AS shard, bool_or(target->>'kind' = 'pending') AS pending,
            count(*) FILTER (WHERE outcome <> 'failed') AS settled, count(*) FILTER (WHERE outcome IS NULL OR outcome = 'failed') AS others
       FROM data.operation_item WHERE operation_id = $1 GROUP BY 1 ORDER BY 1`,
    [run.act.id],
  );
  const after = { already_applied: 0, not_applied: 0 };
  for (const { shard, pending, settled, others } of shards) {
    after.already_applied += Number(settled);
    after.not_applied += Number(others);
    if (shard < 0 || shard >= billing.numShards) continue; // a letter whose stream cannot be told
    if (pending) await removeEmptyConsumer(billing, shard, run.consumer);
    await proveShard(billing, shard);
  }
  return { after };
}
