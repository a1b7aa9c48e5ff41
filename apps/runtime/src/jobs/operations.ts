/**
 * The worker's part in bulk acts. The job only says which act: who executes it is decided by the act's own lock, so a job that comes twice,
 * or late, or while the command line executes the act, does nothing. A job whose process was killed stays locked for hours; so
 * acts that nobody executes are looked for, and get a new one.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Billing, BillingError, OPERATION_JOB, resumeOperations, runOperation } from "@drawdown/billing";
import type { TaskList } from "graphile-worker";
import { z } from "zod";

const resumeEveryMs = 2_000;

const payload = z.object({ operation_id: z.uuid() });

/** The task of the queue. It ends early when the signal aborts: the act goes on elsewhere, or at the next start. */
export function operationTasks(billing: Billing, signal: AbortSignal, onError: (error: unknown) => void): TaskList {
  return {
    [OPERATION_JOB]: async (job) => {
      try {
        await runOperation(billing, payload.parse(job).operation_id, signal);
      } catch (error) {
        // A store that is down: not the queue's own attempts, which end some day, but the next look brings the act back.
        if (!(error instanceof BillingError && error.retryable)) throw error;
        onError(error);
      }
    },
  };
}

/** Until the signal aborts: gives acts that wait for an executor a new job. */
export async function resumeLoop(
  billing: Billing,
  signal: AbortSignal,
  onError: (error: unknown) => void,
): Promise<void> {
  while (!signal.aborted) {
    await resumeOperations(billing).catch(onError);
    await sleep(resumeEveryMs, undefined, { signal }).catch(() => undefined);
  }
}
