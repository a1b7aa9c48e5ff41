/**
 * The queue of a worker process: one graphile-worker runner with one list of tasks, for bulk operations, schedules and the webhook
 * alike. When Postgres goes away it waits and begins again. A job whose process died stays locked for hours: whoever adds jobs
 * looks for what is left over, and adds it again.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { closeDb, connectDb } from "@drawdown/db";
import { Logger, type ParsedCronItem, run, type TaskList } from "graphile-worker";
import type { Logger as Log } from "../log.ts";

export type JobsOptions = {
  databaseUrl: string;
  taskList: TaskList;
  parsedCronItems?: ParsedCronItem[];
  signal: AbortSignal;
  log: Pick<Log, "debug" | "warn">;
  /** Told why the queue has to wait. */
  onError: (error: unknown) => void;
  /** Called before each start. What it throws puts the start off. */
  onStarting?: () => Promise<void>;
  /** Called after each start, when jobs are taken: what was left over until then can be added now. */
  onStarted?: () => Promise<void>;
  /** Jobs at once; 4 by default. */
  concurrency?: number;
  /** How often jobs are looked for whose time has come; of one that is added for now the queue is told. 2 s by default. */
  pollMs?: number;
};

const backOffMs = { first: 200, most: 5_000 };
/** Less than a process has to stop. While Postgres is away the queue's own stop can wait for it for a minute. */
const stopMs = 8_000;

/** Takes jobs until the signal aborts; resolves when those in hand have ended. Never rejects because Postgres is away. */
export async function runJobs(options: JobsOptions): Promise<void> {
  const { signal, onError } = options;
  let delayMs = backOffMs.first;
  while (!signal.aborted) {
    const started = await runOnce(options).catch((error: unknown) => {
      onError(error);
      return false;
    });
    if (signal.aborted) return;
    delayMs = started ? backOffMs.first : Math.min(delayMs * 2, backOffMs.most);
    await sleep(delayMs, undefined, { signal }).catch(() => undefined);
  }
}

/** One runner's life: until it is told to stop, or gives up because of Postgres. True when it got as far as taking jobs. */
async function runOnce(options: JobsOptions): Promise<boolean> {
  const { databaseUrl, taskList, parsedCronItems = [], signal, onError, concurrency = 4, pollMs = 2_000 } = options;
  // A pool of its own: the queue listens on one connection for ever, and must not wait for the settling's.
  const db = connectDb(databaseUrl, {
    max: concurrency + 2,
    applicationName: "drawdown jobs",
    onConnectionError: onError,
  });
  const ended = new AbortController();
  try {
    await options.onStarting?.();
    const runner = await run({
      pgPool: db.$client,
      taskList,
      parsedCronItems,
      concurrency,
      pollInterval: pollMs,
      noHandleSignals: true,
      logger: queueLog(options.log),
      // Unbatched, a completion that fails is nobody's, and would end the process; batched, it ends the runner alone.
      preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
    });
    const stop = () => void runner.stop().catch(onError);
    signal.addEventListener("abort", stop, { once: true, signal: ended.signal });
    if (signal.aborted) stop();
    else await options.onStarted?.().catch(onError);
    await Promise.race([runner.promise.catch(onError), tooLate(signal, ended.signal)]);
    return true;
  } finally {
    ended.abort();
    void closeDb(db).catch(onError);
  }
}

/** Rejects when the stop takes too long; resolves when it is no longer of interest. */
async function tooLate(stopping: AbortSignal, ended: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    for (const signal of [stopping, ended]) signal.addEventListener("abort", () => resolve(), { once: true });
    if (stopping.aborted || ended.aborted) resolve();
  });
  try {
    await sleep(stopMs, undefined, { signal: ended });
  } catch {
    return;
  }
  throw new Error("The queue did not stop in time; its jobs are taken up again later.");
}

/** What the queue says of itself is for those who look for a fault. */
function queueLog(log: JobsOptions["log"]): Logger {
  return new Logger(() => (level, message) => {
    const text = `queue: ${message}`;
    if (level === "error" || level === "warning") log.warn(text);
    else log.debug(text);
  });
}
