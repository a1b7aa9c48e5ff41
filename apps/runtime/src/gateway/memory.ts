/**
 * What the gateway knows without asking Postgres: keys, kept in process memory, bounded, dropped by notification. While Postgres is
 * down what is known keeps working. What a lost notification left stale is found again: after a gap in listening every value is in
 * doubt and read before it is used; otherwise a value older than `refreshAfterMs` is served once more and read again behind it.
 */
import { LRUCache } from "lru-cache";

export type MemoryOptions<Value extends object> = {
  /** Reads the value; undefined: there is none, which is remembered too. Throws when the store cannot be asked. */
  load: (key: string) => Promise<Value | undefined>;
  max: number;
  refreshAfterMs: number;
  now?: () => number;
};

/** `doubted`: notifications may have been missed since it was read. */
type Known<Value> = { value: Value | undefined; readAtMs: number; doubted: boolean };

/** A doubted value that could not be read is served, and tried again after this long. */
const doubtAgainMs = 1_000;

export class Memory<Value extends object> {
  readonly #options: MemoryOptions<Value>;
  readonly #known: LRUCache<string, Known<Value>>;
  readonly #loading = new Map<string, Promise<Value | undefined>>();
  /** Grows with each invalidation: what was read before it must not be kept after it. */
  #generation = 0;

  constructor(options: MemoryOptions<Value>) {
    this.#options = options;
    this.#known = new LRUCache({ max: options.max });
  }

  /** The value, from memory when it is there. Throws what `load` throws when it is not. */
  async get(key: string): Promise<Value | undefined> {
    const known = this.#known.get(key);
    if (known === undefined) return await this.#load(key);
    if (known.doubted) return await this.#clearDoubt(key, known);
    if (this.#now() - known.readAtMs > this.#options.refreshAfterMs && !this.#loading.has(key)) {
      // Failing is no news here: what is known is served until Postgres answers again.
      this.#load(key).catch(() => undefined);
    }
    return known.value;
  }

  /** Drops one value, or all. */
  forget(key?: string): void {
    this.#generation += 1;
    this.#loading.clear();
    if (key === undefined) this.#known.clear();
    else this.#known.delete(key);
  }

  /** Notifications may have been missed: nothing is used again before it was read, or could not be. */
  doubt(): void {
    this.#generation += 1;
    this.#loading.clear();
    for (const known of this.#known.values()) known.doubted = true;
  }

  async #clearDoubt(key: string, known: Known<Value>): Promise<Value | undefined> {
    try {
      return await this.#load(key);
    } catch {
      // The store is away again. What is known holds, and whoever asks next does not wait for the store as long as we did.
      known.doubted = false;
      known.readAtMs = this.#now() - this.#options.refreshAfterMs + doubtAgainMs;
      return known.value;
    }
  }

  #load(key: string): Promise<Value | undefined> {
    const running = this.#loading.get(key);
    if (running !== undefined) return running;
    const generation = this.#generation;
    const loading = this.#options
      .load(key)
      .then((value) => {
        if (generation === this.#generation) this.#known.set(key, { value, readAtMs: this.#now(), doubted: false });
        return value;
      })
      .finally(() => {
        if (this.#loading.get(key) === loading) this.#loading.delete(key);
      });
    this.#loading.set(key, loading);
    return loading;
  }

  #now(): number {
    return this.#options.now?.() ?? performance.now();
  }
}
