// The brake: when too much of what is read fails alone with a database error, that is more likely the database's fault than the entries'.
// The shard waits then, and nothing of it becomes a dead letter, until what fails is few again. The open alert `poison_rate` is the brake
// as it is kept: who goes on with a dead worker's entries waits as that one did, and when the entries are gone by another way the
// monitor closes it.
import { openAlert, resolveAlert } from "@drawdown/db";
import type { Billing } from "./billing.ts";
import { streamKey } from "./keys.ts";
import { fromBooks } from "./postgres.ts";
import type { Position } from "./stream.ts";

const KIND = "poison_rate";
const RATE = { ofAtLeast: 100, above: 0.1 };

export class Brake {
  readonly #billing: Billing;
  /** Shards that wait, with the size of the batch that made them. */
  readonly #waiting = new Map<number, number>();

  constructor(billing: Billing) {
    this.#billing = billing;
  }

  /** Nothing new is read from such a shard, and nothing of it is dead-lettered. */
  holds(shard: number): boolean {
    return this.#waiting.has(shard);
  }

  /** Goes on waiting where a worker that had these entries before did. */
  async adopt(shards: readonly number[]): Promise<void> {
    for (const [shard, size] of await readOpen(this.#billing))
      if (shards.includes(shard)) this.#waiting.set(shard, size);
  }

  /**
   * Judges a batch of one shard: `failed` of `size` entries failed alone with a database error, and `others` wait that did so before. Only
   * what is read for the first time (`fresh`) tells a rate: after an outage any number of what failed before is due at once.
   */
  async judge(shard: number, batch: { size: number; failed: number; others: number; fresh: boolean }): Promise<void> {
    const { size, failed, others, fresh } = batch;
    const waitsFor = this.#waiting.get(shard);
    if (waitsFor !== undefined) {
      if (failed + others > waitsFor * RATE.above) return;
      this.#waiting.delete(shard);
      return await fromBooks(resolveAlert(this.#billing.db, KIND, streamKey(shard)));
    }
    if (!fresh || size < RATE.ofAtLeast || failed <= size * RATE.above) return;
    this.#waiting.set(shard, size);
    const message = `${failed} of ${size} entries failed alone: the shard waits, nothing is dead-lettered.`;
    const details = { shard, size, failed };
    await fromBooks(
      openAlert(this.#billing.db, { level: "critical", kind: KIND, key: streamKey(shard), message, details }),
    );
  }
}

/**
 * Closes the brake's alert where not even as many entries are pending as would keep it: they were settled or kept by another way, and
 * their worker died. `pending`: of each shard.
 */
export async function releaseBrakes(billing: Billing, pending: ReadonlyMap<number, number>): Promise<void> {
  for (const [shard, size] of await readOpen(billing)) {
    const left = pending.get(shard);
    if (left !== undefined && left <= size * RATE.above)
      await fromBooks(resolveAlert(billing.db, KIND, streamKey(shard)));
  }
}

/** The shards that wait, with the size of the batch that made them. */
async function readOpen(billing: Billing): Promise<Map<number, number>> {
  const rows = await billing.query<{ shard: number; size: number }>(
    `SELECT (details->>'shard')::int AS shard, (details->>'size')::int AS size FROM data.alert
      WHERE kind = $1 AND resolved_at IS NULL AND details ? 'shard' AND details ? 'size'`,
    [KIND],
  );
  return new Map(rows.map(({ shard, size }) => [shard, size]));
}

/** Which of these entries a dead letter keeps already: their ack was lost. */
export async function findKept<P extends Position>(billing: Billing, entries: readonly P[]): Promise<ReadonlySet<P>> {
  if (entries.length === 0) return new Set();
  const rows = await billing.query<{ ord: string }>(
    `SELECT e.ord FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS e(stream_key, stream_entry_id, ord)
      WHERE EXISTS (SELECT FROM data.dead_letter d WHERE d.stream_key = e.stream_key AND d.stream_entry_id = e.stream_entry_id)`,
    [entries.map(({ shard }) => streamKey(shard)), entries.map(({ entryId }) => entryId)],
  );
  const kept = new Set(rows.map(({ ord }) => Number(ord) - 1));
  return new Set(entries.filter((_, i) => kept.has(i)));
}
