import { spawn } from "node:child_process";
import { once } from "node:events";
import { open, readFile } from "node:fs/promises";
import { serverEnvironment } from "./config.ts";
import { type StopStep, signalProcess, stopProcess } from "./processes.ts";

/** A server that runs as a child of this process. */
export type ServerProcess = {
  pid: number;
  hasExited(): boolean;
  /** The last lines of its log. */
  logTail(): Promise<string>;
  /** Stops it gently, then harder. Harmless when it is gone. */
  stop(): Promise<void>;
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>;
};

export type ServerCommand = {
  command: readonly string[];
  logFile: string;
  stopSteps: readonly StopStep[];
  uid?: number;
  gid?: number;
};

/**
 * Starts a server in a session of its own: Ctrl-C in a terminal signals the whole foreground group, and the servers
 * must outlive the gateway and the worker that still finish what is in flight. When this process ends without having
 * stopped it, the server is at least told to end.
 */
export async function startServerProcess(options: ServerCommand): Promise<ServerProcess> {
  const [program, ...args] = options.command;
  if (program === undefined) throw new Error("No command to start.");
  const log = await open(options.logFile, "w");
  const child = spawn(program, args, {
    cwd: "/",
    detached: true,
    env: serverEnvironment(),
    stdio: ["ignore", log.fd, log.fd],
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
  });
  try {
    await once(child, "spawn");
  } finally {
    await log.close();
  }
  const pid = child.pid ?? 0;
  const firstStep = options.stopSteps[0]?.signal ?? "SIGTERM";
  const endWithUs = (): void => signalProcess(pid, firstStep);
  const hasExited = (): boolean => child.exitCode !== null || child.signalCode !== null;
  child.once("exit", () => process.off("exit", endWithUs));
  process.once("exit", endWithUs);
  child.unref();

  const end = async (steps: readonly StopStep[]): Promise<void> => {
    if (hasExited()) return;
    child.ref();
    const exited = once(child, "exit");
    await stopProcess(pid, steps);
    await exited;
  };
  return {
    pid,
    hasExited,
    logTail: async () => (await readFile(options.logFile, "utf8")).trimEnd().split("\n").slice(-15).join("\n"),
    stop: () => end(options.stopSteps),
    kill: () => end([{ signal: "SIGKILL", waitMs: 10_000 }]),
  };
}
