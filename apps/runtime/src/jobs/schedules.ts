/**
 * What the workers of a cluster do by themselves. graphile-worker's cron gives one beat a minute and cluster; a beat takes the
 * schedules that are due from `data.schedule` and adds their jobs, so each runs once, however many workers there are. No timer of a
 * process decides anything: a stop leaves none behind, and what is planned goes on with whoever is left.
 */
import { BillingError } from "@drawdown/billing";
import {
  type Db,
  registerSchedules,
  runSchedule,
  runScheduleNow,
  type ScheduleTiming,
  scheduleTask,
  takeDueSchedules,
} from "@drawdown/db";
import { type ParsedCronItem, parseCronItems, type TaskList } from "graphile-worker";
import { z } from "zod";
import { wakeWebhook } from "./webhook.ts";

export type Schedule = ScheduleTiming & {
  /** Runs once more whenever a worker starts. */
  atStart?: boolean;
  /** Returns what is kept as the last result. What it throws is kept as a failure; the next run comes at its time. */
  run: (signal: AbortSignal) => Promise<Record<string, unknown>>;
};

const BEAT = "beat";
const MINUTE_MS = 60_000;

/** For `parsedCronItems`. A beat that nobody did in the last minute is made up for at a start. */
export function beatCron(): ParsedCronItem[] {
  const options = { backfillPeriod: MINUTE_MS, jobKey: BEAT, maxAttempts: 1 };
  return parseCronItems([{ task: BEAT, match: "* * * * *", identifier: BEAT, options }]);
}

/** The minute for which a beat was planned. */
const beatPayload = z.object({ _cron: z.object({ ts: z.coerce.date() }) }).transform(({ _cron: cron }) => cron.ts);

/**
 * The tasks of the queue. A run that is told to stop by the signal ends at its next step. Failures are told to `onError`, and are
 * not the queue's to repeat.
 */
export function scheduleTasks(
  db: Db,
  schedules: readonly Schedule[],
  signal: AbortSignal,
  onError: (error: unknown) => void,
): TaskList {
  const quietly = async (work: () => Promise<unknown>): Promise<void> => {
    await work().catch(onError);
  };
  const runs = schedules.map((schedule): [string, () => Promise<void>] => [
    scheduleTask(schedule.name),
    () => quietly(async () => await runOnce(db, schedule, signal, onError)),
  ]);
  const beat = async (payload: unknown) => {
    const at = beatPayload.parse(payload);
    await quietly(async () => await takeDueSchedules(db, schedules, at));
    await quietly(async () => await wakeWebhook(db));
  };
  return { ...Object.fromEntries(runs), [BEAT]: beat };
}

/** Runs a schedule here, unless it runs already, wherever that is. Keeps its result, and tells `onError` of its failure. */
export async function runOnce(
  db: Db,
  schedule: Schedule,
  signal: AbortSignal,
  onError: (error: unknown) => void,
): Promise<void> {
  if (signal.aborted) return;
  await runSchedule(db, schedule.name, async () => {
    const began = performance.now();
    const took = () => ({ took_ms: Math.round(performance.now() - began) });
    try {
      const result = await schedule.run(signal);
      return { outcome: signal.aborted ? "stopped" : "done", ...took(), ...result };
    } catch (error) {
      if (signal.aborted) return { outcome: "stopped", ...took() };
      onError(error);
      return {
        outcome: "failed",
        ...took(),
        error: error instanceof BillingError ? error.publicMessage : String(error),
      };
    }
  });
}

/** Before the queue takes jobs: enters the schedules, so that what was missed while no worker ran is not made up for at once. */
export async function enterSchedules(db: Db, schedules: readonly Schedule[], at = new Date()): Promise<void> {
  await registerSchedules(db, schedules, at);
}

/** When the queue takes jobs: runs what runs at each start. */
export async function runStartSchedules(db: Db, schedules: readonly Schedule[]): Promise<void> {
  for (const { name, atStart } of schedules) if (atStart) await runScheduleNow(db, name);
}
