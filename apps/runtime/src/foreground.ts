/**
 * The life of a process in the foreground: start, be ready, and on the first SIGTERM or SIGINT stop taking work, finish what is in
 * flight, close everything and exit 0. Signals may come twice (to the whole group, and passed on by a launcher): the second changes
 * nothing. What is still open after the deadline is named and the process exits 1.
 */
import { format } from "node:util";
import type { Logger } from "./log.ts";
import { Problem } from "./problem.ts";

/** Ten seconds are promised; half a second is left for the exit itself. */
const stopDeadlineMs = 9_500;

export type Running = {
  /** Finishes what is in flight and closes everything. Called once. */
  stop: () => Promise<void>;
};

/**
 * Runs until a signal. `start` is given a signal that aborts when the process is to stop; while it starts, that ends the process at
 * once. Returns the exit code. `onBug` hears what nobody caught; without it that ends the process.
 */
export async function runForeground(
  log: Logger,
  start: (stopping: AbortSignal) => Promise<Running>,
  onBug: (error: unknown) => void = endOnBug(log),
): Promise<number> {
  const controller = new AbortController();
  const stopping = new Promise<void>((resolve) => {
    for (const name of ["SIGTERM", "SIGINT"] as const) {
      process.on(name, () => {
        if (controller.signal.aborted) return;
        log.info({ signal: name }, "stopping");
        controller.abort();
        resolve();
      });
    }
  });
  logConsole(log);
  process.on("uncaughtException", onBug);
  const running = await Promise.race([start(controller.signal), stopping]);
  if (!running) return 0;
  await stopping;
  const deadline = setTimeout(() => {
    log.error({ deadlineMs: stopDeadlineMs }, "not everything was finished before the deadline");
    process.exit(1);
  }, stopDeadlineMs);
  await running.stop();
  clearTimeout(deadline);
  log.info("stopped");
  return 0;
}

function endOnBug(log: Logger): (error: unknown) => void {
  return (error) => {
    log.fatal({ err: error }, "a bug: the process ends");
    process.exit(1);
  };
}

/** Libraries that write to the console (the job queue does when Postgres goes away) would break the log's lines, and may show a secret. */
function logConsole(log: Logger): void {
  for (const level of ["trace", "warn", "error"] as const)
    console[level] = (...said: unknown[]) => {
      log.warn({ err: said.find((one) => one instanceof Error) }, format(...said.map(String)));
    };
}

/** A server that can be told to listen, and says at which address it does. */
type Listens = { listen: (where: { host: string; port: number }) => Promise<string> };

/** Listens, or says which port is taken and which setting names another. Returns the address. */
export async function listen(
  app: Listens,
  where: { host: string; port: number; what: string; setting: string },
): Promise<string> {
  try {
    return await app.listen({ host: where.host, port: where.port });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const place = `${where.host}:${where.port}`;
    if (code === "EADDRINUSE") {
      throw new Problem(
        `Port ${where.port} is taken: ${where.what} cannot listen on ${place}. Stop what uses the port, or set ${where.setting} to another.`,
        { cause: error },
      );
    }
    if (code === "EACCES" || code === "EADDRNOTAVAIL") {
      throw new Problem(`${where.what} cannot listen on ${place} (${code}). Set ${where.setting} or LISTEN_HOST.`, {
        cause: error,
      });
    }
    throw error;
  }
}
