/**
 * What workers cannot say of themselves: that none of them runs, or none that reaches Redis. Gateways look whether monitoring is done, and do
 * it where it is not: once a cluster, because the row of the schedule is taken by whoever is first. Then they post alerts, too, until
 * workers are back. Nothing else of a worker's is done here: without one, nothing settles.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Billing } from "@drawdown/billing";
import { takeOverdue } from "@drawdown/db";
import { judgingSchedule, type ScheduleSettings } from "./schedule-tasks.ts";
import { runOnce } from "./schedules.ts";
import { postDue, webhookSettings } from "./webhook.ts";

export type StandInOptions = {
  billing: Billing;
  config: ScheduleSettings;
  signal: AbortSignal;
  /** Told what failed; the next look comes at its time. */
  onError: (error: unknown) => void;
  /** How often to look, and before the first look: what starts beside needs a moment. */
  everyMs?: number;
  /** Monitoring that is so late is done by no worker: its beat comes to the second. */
  lateMs?: number;
};

/** Until the signal aborts. Never rejects because a store is away. */
export async function standIn(options: StandInOptions): Promise<void> {
  const { billing, config, signal, onError, everyMs = 5_000, lateMs = 30_000 } = options;
  const { db } = billing;
  const monitoring = judgingSchedule(billing, config);
  const webhook = webhookSettings(config.alerts);
  let postUntilMs = 0;
  for (;;) {
    await sleep(everyMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    try {
      if (await takeOverdue(db, monitoring, lateMs)) {
        await runOnce(db, monitoring, signal, onError);
        // Until the next run would be late: by then a worker has done it, and posts, or a gateway takes it again.
        postUntilMs = performance.now() + monitoring.intervalMs + lateMs + everyMs;
      }
      if (performance.now() < postUntilMs && !signal.aborted) await postDue(db, webhook, signal);
    } catch (error) {
      if (!signal.aborted) onError(error);
    }
  }
}
