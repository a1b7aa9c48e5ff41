// One reading for all who watch: however many pages are open, a figure is read once per interval, and only while somebody looks.
import { setTimeout as sleep } from "node:timers/promises";
import { TRPCError } from "@trpc/server";
import { books } from "@/server/domain.ts";
import type { Operator } from "@/server/session.ts";
import { db } from "@/server/stores.ts";

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

/** How soon a line ends after its session. */
const SESSION_MS = 2_000;
/** One look for all lines. */
const openSessions = sharedReading(() => books.listOpenSessions(db()), SESSION_MS);

/** Who watches, and until when. */
type Watcher = { ctx: { operator: Operator }; signal: AbortSignal | undefined };

/**
 * What `read` gives now and after each interval, until the signal. What it throws ends it: the page asks again by itself. So does the end
 * of the session, whoever ended it.
 */
export async function* every<T>(read: () => Promise<T>, intervalMs: number, { ctx, signal }: Watcher) {
  for (;;) {
    if (signal?.aborted) return;
    // Who keeps the sessions may be away: nobody can end one then, and the page goes on with the other store.
    const open = await openSessions().catch(() => undefined);
    if (open?.has(ctx.operator.sessionId) === false)
      throw new TRPCError({ code: "UNAUTHORIZED", message: "The session is over." });
    yield await read();
    await sleep(intervalMs, undefined, signal === undefined ? {} : { signal }).catch(() => {});
  }
}
