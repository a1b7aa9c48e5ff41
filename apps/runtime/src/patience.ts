/** Waiting for stores that are away while a process starts: servers that start together come up in any order. */
import { setTimeout as pause } from "node:timers/promises";
import { BillingError } from "@drawdown/billing";
import type { Logger } from "./log.ts";

const retryMs = 250;

export type Patience = { ms: number; log: Logger; stopping: AbortSignal };

/**
 * Runs `work` again until it does not fail for a store that is away. What else it throws (a wrong password, a missing table), and what it
 * still throws when patience is over, is thrown on. Says once for each failure what it waits for.
 */
export async function patiently<T>({ ms, log, stopping }: Patience, work: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + ms;
  let said: string | undefined;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isAway(error) || stopping.aborted || performance.now() > deadline) throw error;
      const message = error instanceof Error ? error.message : String(error);
      if (message !== said) log.warn({ err: error }, "a store is away: waiting for it");
      said = message;
      await pause(retryMs);
    }
  }
}

/** Unreachable, starting or stopping, or out of connections: what the system (`ECONNREFUSED`) or Postgres (`57P03`) calls it decides. */
function isAway(error: unknown): boolean {
  let away = false;
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof AggregateError) return at.errors.some(isAway);
    const { code } = at as NodeJS.ErrnoException;
    if (typeof code === "string" && /^(ECONN|ENOTFOUND|ETIMEDOUT|EHOST|ENET|EAI_|EPIPE|57P0|08|53)/.test(code))
      return true;
    if (typeof code === "string" && /^[0-9A-Z]{5}$/.test(code)) return false;
    away ||= at instanceof BillingError ? at.retryable : /^(Connection terminated|timeout expired)/.test(at.message);
  }
  return away;
}
