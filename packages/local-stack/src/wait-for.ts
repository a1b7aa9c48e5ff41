import { setTimeout as pause } from "node:timers/promises";

export type WaitOptions = {
  /** How long the condition may take to become true, in milliseconds. */
  timeoutMs: number;
  /** What is awaited, as the error will name it. */
  what: string;
  /** The pause between two looks, in milliseconds. */
  intervalMs?: number;
};

/**
 * Looks again and again until `condition` answers something truthy, and returns that. A condition that throws is not
 * true yet; its last error becomes the `cause` of the error that is thrown at the deadline.
 */
export async function waitFor<T>(condition: () => T | Promise<T>, options: WaitOptions): Promise<NonNullable<T>> {
  const deadline = performance.now() + options.timeoutMs;
  let lastError: unknown;
  for (;;) {
    try {
      const answer = await condition();
      if (answer) return answer;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() >= deadline) break;
    await pause(options.intervalMs ?? 20);
  }
  throw new Error(`Waited ${options.timeoutMs} ms in vain for ${options.what}.`, { cause: lastError });
}
