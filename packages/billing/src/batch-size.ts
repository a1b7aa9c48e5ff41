// How many entries a worker reads at once. Many cost less each, few are in the books sooner; and what is in hand when Redis loses its memory
// should be settled within the moment that the fence leaves for it (docs/decisions/0014-entries-in-hand-when-redis-forgets.md).
import type { Position } from "./stream.ts";

/** Never fewer than this, unless the setting is: the brake judges a shard by a batch of at least a hundred. */
const FIRST = 250;
const LONG_MS = 250;

/** How many to begin with, and how many of what was delivered before are taken at once. */
export const firstSize = (most: number) => Math.min(FIRST, most);

/** Entries per shard and read, of which `now` is what the next read asks for. */
export class BatchSize {
  readonly #least: number;
  readonly #most: number;
  #now: number;

  constructor(most: number) {
    this.#least = firstSize(most);
    this.#most = most;
    this.#now = this.#least;
  }

  get now(): number {
    return this.#now;
  }

  /**
   * A batch that left more of a shard behind, and was quickly settled, makes the next one larger; a slow one makes it smaller. Returns whether
   * there is more to read.
   */
  learn(batch: readonly Position[], settledInMs: number): "more" | "all" {
    const shards = Map.groupBy(batch, ({ shard }) => shard);
    const fullest = Math.max(0, ...[...shards.values()].map(({ length }) => length));
    const left = fullest >= this.#now ? "more" : "all";
    if (settledInMs > LONG_MS) this.#now = Math.max(this.#least, Math.floor(this.#now / 2));
    else if (settledInMs < LONG_MS / 2 && left === "more") this.#now = Math.min(this.#most, this.#now * 2);
    return left;
  }
}
