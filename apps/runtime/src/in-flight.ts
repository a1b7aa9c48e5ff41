/**
 * The requests that a server is answering, hijacked ones included, so that a stop can wait for exactly them. A connection that is kept
 * alive and idle is not waited for.
 */
import type { FastifyInstance } from "fastify";

export type InFlight = {
  count: () => number;
  /** Resolves true when nothing is in flight any more, false after the deadline. */
  ended: (deadlineMs: number) => Promise<boolean>;
};

export function trackInFlight(app: FastifyInstance): InFlight {
  let count = 0;
  let wake = (): void => undefined;
  app.addHook("onRequest", (_request, reply, done) => {
    count += 1;
    reply.raw.once("close", () => {
      count -= 1;
      if (count === 0) wake();
    });
    done();
  });
  return {
    count: () => count,
    ended: (deadlineMs) =>
      new Promise((resolve) => {
        if (count === 0) return resolve(true);
        const timer = setTimeout(() => resolve(false), deadlineMs);
        wake = () => {
          clearTimeout(timer);
          resolve(true);
        };
      }),
  };
}

/**
 * Stops a server: no new connections, what is in flight gets `drainMs`, then `cut` is called and it gets `cutMs` more. `work` is what
 * goes on without a response: for a client that left, or behind an answer. Resolves when the port is free.
 */
export async function stopServer(
  app: FastifyInstance,
  inFlight: InFlight,
  limits: { drainMs: number; cutMs: number; cut: () => void; work?: ReadonlySet<Promise<unknown>> },
): Promise<void> {
  const closed = app.close();
  const ended = async (deadlineMs: number): Promise<boolean> => {
    const late = AbortSignal.timeout(deadlineMs);
    const gaveUp = new Promise<false>((resolve) =>
      late.addEventListener("abort", () => resolve(false), { once: true }),
    );
    const done = Promise.allSettled([...(limits.work ?? [])]).then(() => true);
    const [answered, worked] = await Promise.all([inFlight.ended(deadlineMs), Promise.race([done, gaveUp])]);
    return answered && worked;
  };
  if (!(await ended(limits.drainMs))) {
    limits.cut();
    await ended(limits.cutMs);
  }
  app.server.closeAllConnections();
  await closed;
}
