// Draining the streams: read → settle → ack, for ever.
//
//   own pending ──► read new ──► decode ──► settle (one transaction) ──► ack
//        ▲              │            └─ unreadable ─► dead letter ─► ack
//        └─ reconnected ┘                  fails alone with a data error: suspect, tried again, then dead letter ─► ack
//
// On one server three blocking reads take a third of the shards each; on a cluster each shard has a reader of its own. A worker that dies keeps
// its entries pending under its name; it reads them first when it is back, or another claims them. When a store is down the
// batch in hand waits with it: nothing is dropped, nothing is acked that was not committed.
import { setTimeout as sleep } from "node:timers/promises";
import { BatchSize, firstSize } from "./batch-size.ts";
import type { Billing } from "./billing.ts";
import { claimDead, keepAlive, LIVE_MS } from "./claim.ts";
import { keepDeadLetter } from "./dead-letters.ts";
import { countDeliveries, createGroups, type Reader, readDeliveries, readEpochs, withEpochs } from "./deliveries.ts";
import { BillingError } from "./errors.ts";
import { alone, UnreadableEntry } from "./fields.ts";
import { FIELDS_DEPTH, foldReplies } from "./folded.ts";
import { GROUP, streamKey } from "./keys.ts";
import { findRecordedGone } from "./leave.ts";
import { Brake, findKept } from "./poison.ts";
import { connectRedis, redisReady } from "./redis.ts";
import { type SettleOutcome, settle } from "./settle.ts";
import { decodeEntry, type Entry, type EntryInHand } from "./stream.ts";

export type ConsumeSettings = {
  /** Most entries per shard and read; it asks for fewer while they settle slowly. */
  batchSize: number;
  /** How long a read waits for the first entry. */
  blockTimeMs: number;
  /** From a batch to the next read, unless more is waiting than was read: entries cost less together, and one that comes alone waits for none. */
  gatherMs: number;
  /** Attempts of an entry alone before it is a dead letter. */
  maxRetries: number;
  /** Before the second attempt; doubles. */
  retryDelayMs: number;
  /** A consumer that shows no life for this long is dead, and its entries are claimed. */
  claimIdleMs: number;
  /** How often to show life and to look for dead consumers. */
  claimEveryMs: number;
};

export const defaultConsumeSettings: ConsumeSettings = {
  batchSize: 1_000,
  blockTimeMs: 5_000,
  gatherMs: 25,
  maxRetries: 3,
  retryDelayMs: 1_000,
  claimIdleMs: LIVE_MS,
  claimEveryMs: 2_000,
};

export type ConsumeOptions = {
  billing: Billing;
  /** The same at every start, or a dead process's entries wait to be claimed. */
  consumer: string;
  signal: AbortSignal;
  settings?: Partial<ConsumeSettings>;
  /** Called with what a store answered when the worker has to wait. */
  onError?: (error: BillingError) => void;
};

const BACK_OFF_MS = { first: 100, most: 5_000 };

/**
 * Readers on one server, each of some shards: while the batch of one is written, that of another is read and decoded, and Postgres writes
 * several at once. What is in hand is bounded by a batch for each.
 */
const READERS = 3;

/** An entry that failed alone with a data error: tried again at `dueMs`, a dead letter after the last attempt. */
type Suspect = { raw: EntryInHand; attempts: number; dueMs: number };

type Poison = SettleOutcome & { outcome: "poison" };

type Worker = {
  billing: Billing;
  consumer: string;
  signal: AbortSignal;
  settings: ConsumeSettings;
  onError: (error: BillingError) => void;
  suspects: Map<string, Suspect>;
  brake: Brake;
};

/**
 * Settles what the streams deliver until the signal aborts; resolves when the batch in hand is done. Rejects only for a bug,
 * never because a store is down.
 */
export async function consume(options: ConsumeOptions): Promise<void> {
  const { billing, consumer } = options;
  const stop = new AbortController();
  const worker: Worker = {
    billing,
    consumer,
    signal: AbortSignal.any([options.signal, stop.signal]),
    settings: { ...defaultConsumeSettings, ...options.settings },
    onError: options.onError ?? (() => {}),
    suspects: new Map(),
    brake: new Brake(billing),
  };
  const shards = Array.from({ length: billing.numShards }, (_, shard) => shard);
  const groups = "redisUrl" in billing.address ? divide(shards) : shards.map((shard) => [shard]);
  const loops = [
    ...groups.map((group) => readLoop(worker, group)),
    claimLoop(worker, shards),
    lifeLoop(worker, shards),
  ];
  try {
    await Promise.all(loops);
  } finally {
    stop.abort();
    await Promise.allSettled(loops);
  }
}

function divide(shards: readonly number[]): number[][] {
  const parts = Array.from({ length: Math.min(READERS, shards.length) }, (): number[] => []);
  for (const shard of shards) parts[shard % parts.length]?.push(shard);
  return parts;
}

async function readLoop(worker: Worker, shards: readonly number[]): Promise<void> {
  const { billing, signal } = worker;
  const redis = connectRedis(billing.address, { blocking: true });
  foldReplies(redis, FIELDS_DEPTH.xreadgroup);
  const reader: Reader = { billing, consumer: worker.consumer, signal, redis };
  const size = new BatchSize(worker.settings.batchSize);
  let recovering = true;
  // Nothing is in hand here between two batches. What is pending all the same was delivered by an answer that never came (a claim may time out
  // and be done), or to a worker that lost this very name to us while Postgres was away, and ended; nobody else takes it from a name that lives.
  let lookAtMs = 0;
  redis.on("close", () => {
    recovering = true;
  });
  // A blocked read ends with its connection; what it may have been given meanwhile is pending, and ours.
  const interrupt = () => redis.disconnect();
  signal.addEventListener("abort", interrupt, { once: true });
  try {
    await untilStopped(
      worker,
      async () => {
        await redisReady(redis, BACK_OFF_MS.most);
        if (recovering) await createGroups(redis, shards);
        if (recovering || performance.now() >= lookAtMs) {
          recovering = false;
          lookAtMs = performance.now() + worker.settings.claimIdleMs;
          await drainOwn(worker, reader, shards);
        }
        await retrySuspects(worker, shards);
        const open = shards.filter((shard) => !worker.brake.holds(shard));
        const blockMs = untilDue(worker, shards);
        if (open.length === 0) await sleep(blockMs, undefined, { signal }).catch(() => {});
        const asked = { from: ">", count: size.now, blockMs };
        const batch = open.length === 0 ? [] : await readDeliveries(reader, open, asked);
        if (batch.length > 0) {
          const startedAt = performance.now();
          await insist(worker, () => work(worker, batch));
          const tookMs = performance.now() - startedAt;
          const restMs = size.learn(batch, tookMs) === "more" ? 0 : worker.settings.gatherMs - tookMs;
          if (restMs > 0) await sleep(restMs, undefined, { signal }).catch(() => {});
        }
        return "again";
      },
      {
        onFailure: () => {
          recovering = true;
        },
      },
    );
  } finally {
    signal.removeEventListener("abort", interrupt);
    redis.disconnect();
  }
}

/** Runs a step again and again; a store that is down makes it wait, longer each time, and is told to `onFailure`. */
async function untilStopped(
  worker: Worker,
  step: () => Promise<"again" | "done">,
  { onFailure = () => {}, atLeastOnce = false } = {},
): Promise<void> {
  let delayMs = BACK_OFF_MS.first;
  for (let first = atLeastOnce; first || !worker.signal.aborted; first = false) {
    try {
      if ((await step()) === "done") return;
      delayMs = BACK_OFF_MS.first;
    } catch (error) {
      if (!(error instanceof BillingError) || !error.retryable) throw error;
      if (worker.signal.aborted) return;
      onFailure();
      worker.onError(error);
      worker.billing.observe("consume.waiting", { code: error.code });
      await sleep(delayMs, undefined, { signal: worker.signal }).catch(() => {});
      delayMs = Math.min(delayMs * 2, BACK_OFF_MS.most);
    }
  }
}

/**
 * Does what must be done before going on, however long a store is down. Told to stop, it tries once and leaves the rest
 * pending: a batch in hand is settled before the worker ends.
 */
async function insist(worker: Worker, step: () => Promise<void>): Promise<void> {
  const once = async () => {
    await step();
    return "done" as const;
  };
  await untilStopped(worker, once, { atLeastOnce: true });
}

/** Entries delivered to this name and not acked: by this process before the connection broke, or by the one before it. */
async function drainOwn(worker: Worker, reader: Reader, shards: readonly number[]): Promise<void> {
  const cursors = new Map(shards.map((shard) => [shard, "0"]));
  const count = firstSize(worker.settings.batchSize);
  while (cursors.size > 0 && !worker.signal.aborted) {
    const batch: EntryInHand[] = [];
    for (const [shard, cursor] of cursors) {
      const page = await readDeliveries(reader, [shard], { from: cursor, count });
      const last = page.at(-1);
      if (last) cursors.set(shard, last.entryId);
      else cursors.delete(shard);
      batch.push(...page.filter((entry) => !worker.suspects.has(keyOf(entry))));
    }
    if (batch.length > 0)
      await insist(worker, async () => await workAgain(worker, await countDeliveries(worker.billing, batch)));
  }
}

/** How long a read may wait: not past the next attempt of what failed. */
function untilDue(worker: Worker, shards: readonly number[]): number {
  const now = Date.now();
  let wait = worker.settings.blockTimeMs;
  for (const { raw, dueMs } of worker.suspects.values())
    if (shards.includes(raw.shard)) wait = Math.min(wait, dueMs - now);
  return Math.max(1, wait);
}

function keyOf(entry: EntryInHand): string {
  return `${entry.shard}/${entry.entryId}`;
}

/** What was delivered before, to this worker or to a dead one. */
async function workAgain(worker: Worker, batch: readonly EntryInHand[]): Promise<void> {
  await worker.brake.adopt(batch.map(({ shard }) => shard));
  await work(worker, batch, true);
}

/** Settles one batch and acks what is in the books; what failed alone becomes a suspect or a dead letter. */
async function work(worker: Worker, batch: readonly EntryInHand[], again = false): Promise<void> {
  const { billing, consumer } = worker;
  const done: EntryInHand[] = [];
  const readable: { raw: EntryInHand; entry: Entry }[] = [];
  const recorded = await findRecordedGone(billing, batch);
  for (const raw of batch) {
    if (recorded.has(raw)) {
      done.push(raw);
      continue;
    }
    try {
      readable.push({ raw, entry: decodeEntry(raw, raw.fields) });
    } catch (error) {
      if (!(error instanceof UnreadableEntry)) throw error;
      await keepDeadLetter(billing, raw, { errorClass: error.errorClass, message: error.message, attempts: 1 });
      done.push(raw);
    }
  }
  const outcomes = await settle(
    billing,
    readable.map(({ entry }) => entry),
    consumer,
  );
  const failures = new Map<EntryInHand, Poison>();
  readable.forEach(({ raw }, i) => {
    const outcome = outcomes[i];
    if (outcome?.outcome === "poison") failures.set(raw, outcome);
    else done.push(raw);
  });
  await judge(worker, batch, again, failures, done);
  if (worker.suspects.size > 0) for (const raw of done) worker.suspects.delete(keyOf(raw));
  await ack(worker, done);
}

/** Failures alone: another attempt later, a dead letter after the last; a shard where too much fails waits as a whole. */
async function judge(
  worker: Worker,
  batch: readonly EntryInHand[],
  again: boolean,
  failures: Map<EntryInHand, Poison>,
  done: EntryInHand[],
): Promise<void> {
  const { billing, brake, settings, suspects } = worker;
  const keep = async (raw: EntryInHand, { errorClass, message }: Poison, attempts: number) => {
    await keepDeadLetter(billing, raw, { errorClass, message, attempts });
    done.push(raw);
  };
  for (const raw of await findKept(billing, [...failures.keys()])) {
    await keep(raw, failures.get(raw) as Poison, 1);
    failures.delete(raw);
  }
  for (const [shard, entries] of Map.groupBy(batch, (raw) => raw.shard)) {
    const failed = failures.size === 0 ? 0 : entries.filter((raw) => failures.get(raw)?.database).length;
    const judged = new Set(brake.holds(shard) ? entries.map(keyOf) : []);
    const others = brake.holds(shard)
      ? [...suspects].filter(([key, { raw }]) => raw.shard === shard && !judged.has(key)).length
      : 0;
    await brake.judge(shard, { size: entries.length, failed, others, fresh: !again });
  }
  for (const [raw, failure] of failures) {
    const key = keyOf(raw);
    const waits = brake.holds(raw.shard);
    const attempts = waits ? 0 : (suspects.get(key)?.attempts ?? 0) + 1;
    if (!waits && (attempts >= settings.maxRetries || !failure.database)) await keep(raw, failure, attempts);
    else {
      const delayMs = settings.retryDelayMs * 2 ** Math.max(0, attempts - 1);
      const kept = { ...raw, fields: alone(raw.fields) };
      suspects.set(key, { raw: kept, attempts, dueMs: Date.now() + (waits ? BACK_OFF_MS.most : delayMs) });
    }
  }
}

/** Tries the suspects that are due again. */
async function retrySuspects(worker: Worker, shards: readonly number[]): Promise<void> {
  const now = Date.now();
  const due = [...worker.suspects.values()].filter(({ raw, dueMs }) => dueMs <= now && shards.includes(raw.shard));
  if (due.length > 0)
    await insist(worker, () =>
      work(
        worker,
        due.map(({ raw }) => raw),
        true,
      ),
    );
}

/** In one pipeline: on a cluster a batch is of one shard. */
async function ack(worker: Worker, done: readonly EntryInHand[]): Promise<void> {
  if (done.length === 0) return;
  const byShard = Map.groupBy(done, (raw) => raw.shard);
  await worker.billing.ask(async (redis) => {
    const acks = redis.pipeline();
    for (const [shard, entries] of byShard) acks.xack(streamKey(shard), GROUP, ...entries.map((raw) => raw.entryId));
    for (const [error] of (await acks.exec()) ?? []) if (error) throw error;
  });
  worker.billing.observe("consume.acked", { entries: done.length });
}

/** Takes over what dead consumers left, each few seconds. */
async function claimLoop(worker: Worker, shards: readonly number[]): Promise<void> {
  const { billing, consumer, settings, signal } = worker;
  await untilStopped(worker, async () => {
    await sleep(settings.claimEveryMs, undefined, { signal }).catch(() => {});
    for (const shard of shards) {
      if (signal.aborted) return "done";
      for (;;) {
        const epochs = await readEpochs(billing, [shard]);
        const taken = await claimDead(billing, shard, consumer, settings.claimIdleMs, firstSize(settings.batchSize));
        const claimed = withEpochs(taken, epochs);
        if (claimed.length === 0) break;
        billing.observe("consume.claimed", { shard, entries: claimed.length });
        await insist(worker, () => workAgain(worker, claimed));
      }
    }
    return "again";
  });
}

/** Shows that this consumer lives, also while it waits for Postgres: a live consumer's entries are not claimed. */
async function lifeLoop(worker: Worker, shards: readonly number[]): Promise<void> {
  await untilStopped(worker, async () => {
    await keepAlive(worker.billing, shards, worker.consumer);
    await sleep(worker.settings.claimEveryMs, undefined, { signal: worker.signal }).catch(() => {});
    return "again";
  });
}
