// One reading for all who watch: however many pages are open, a figure is read once per interval, and only while somebody looks.
import { setTimeout as sleep } from "node:timers/promises";

type Reading<T> = { at: number; value: T } | { at: number; error: unknown };

/** Reads at most once per interval; a reading that is under way is shared, a fresh one given again. */
export function sharedReading<T>(read: () => Promise<T>, intervalMs: number): () => Promise<T> {
  let running: Promise<T> | undefined;
  let last: Reading<T> | undefined;
  return async () => {
    if (last !== undefined && performance.now() - last.at < intervalMs / 2) {
      if ("error" in last) throw last.error;
      return last.value;
    }
    running ??= read()
      .then(
        (value) => {
          last = { at: performance.now(), value };
          return value;
        },
        (error: unknown) => {
          last = { at: performance.now(), error };
          throw error;
        },
      )
      .finally(() => {
        running = undefined;
      });
    return await running;
  };
}

/** What `read` gives now and after each interval, until the signal. What it throws ends it: the page asks again by itself. */
export async function* every<T>(read: () => Promise<T>, intervalMs: number, signal: AbortSignal | undefined) {
  for (;;) {
    if (signal?.aborted) return;
    yield await read();
    await sleep(intervalMs, undefined, signal === undefined ? {} : { signal }).catch(() => {});
  }
}
