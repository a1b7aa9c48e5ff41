// The child processes of `npm start`. Each has a session of its own: Ctrl-C in a terminal reaches the whole foreground
// group, and they are to end in an order, after finishing what is in flight. What they print goes to a file.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Claim, waitFor } from "@drawdown/local-stack";
import { childEnvironment } from "../config.ts";
import { Problem } from "../problem.ts";
import type { Cleanup } from "./cleanup.ts";

export type Command = {
  name: string;
  /** The program and its arguments. */
  command: readonly string[];
  environment: Record<string, string>;
};

/** What every child is started with: where it is written down, and what stops it at the end. */
export type Household = { dir: string; root: string; claim: Claim; cleanup: Cleanup };

export type RunningProcess = {
  pid: number;
  /** Resolves when it has ended, to the problem that this is while the stack runs. */
  ended: Promise<Problem>;
};

const stopMs = 12_000;
const groupMs = 3_000;
const readyMs = 90_000;
const tailLines = 12;

/** Starts a process that is to run until the end. */
export async function startProcess(household: Household, command: Command): Promise<RunningProcess> {
  const { pid, closed, logFile } = await launch(household, command, "file");
  const ended = closed.then(
    async ({ how }) => new Problem(`The ${command.name} ended (${how}).${await tail(logFile)}`),
  );
  return { pid, ended };
}

/** Runs a command to its end and returns what it printed. Throws a Problem with its last lines when it fails. */
export async function runCommand(household: Household, command: Command): Promise<string> {
  const { closed, logFile } = await launch(household, command, "pipe");
  const { how, printed } = await closed;
  if (how === "exit code 0") return printed;
  throw new Problem(`The ${command.name} failed (${how}).${await tail(logFile)}`);
}

/** Waits until the address answers 2xx. Throws a Problem when the process ends instead, or does not answer in time. */
export async function waitUntilReady(name: string, url: string, process: RunningProcess): Promise<void> {
  const ready = waitFor(async () => (await fetch(url, { signal: AbortSignal.timeout(5_000) })).ok, {
    timeoutMs: readyMs,
    what: `the ${name} to answer ${url}`,
    intervalMs: 50,
  }).then(() => undefined);
  const problem = await Promise.race([ready, process.ended]);
  if (problem !== undefined) throw problem;
}

async function launch(household: Household, { name, command, environment }: Command, output: "file" | "pipe") {
  const [program = "", ...args] = command;
  const logFile = join(household.dir, "logs", `${name.replaceAll(" ", "-")}.log`);
  const log = await open(logFile, "w", 0o600);
  const child = spawn(program, args, {
    cwd: household.root,
    detached: true,
    env: childEnvironment(environment),
    stdio: ["ignore", output === "file" ? log.fd : "pipe", log.fd],
  });
  // From here on it may end at any moment, so its end is awaited before anything else is.
  let printed = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    printed += text;
  });
  const closed = new Promise<{ how: string; printed: string }>((resolve) => {
    child.on("close", (code, signal) => resolve({ how: signal ?? `exit code ${code}`, printed }));
  });
  try {
    await once(child, "spawn");
  } finally {
    await log.close();
  }
  const { pid = 0 } = child;
  await household.cleanup.add(`the ${name}`, () => stop(child));
  await household.claim.remember(name, pid);
  return { pid, closed, logFile };
}

async function stop(child: ReturnType<typeof spawn>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, "exit");
    child.kill("SIGTERM");
    const hard = setTimeout(() => child.kill("SIGKILL"), stopMs);
    await exited;
    clearTimeout(hard);
  }
  await endGroup(child.pid);
}

// What the process left behind in its group, such as the workers of a build that was cut off, gets a moment to end.
async function endGroup(pid: number | undefined): Promise<void> {
  if (pid === undefined) return;
  const gone = () => !signalGroup(pid, 0);
  await waitFor(gone, { timeoutMs: groupMs, what: "the group to end" }).catch(() => signalGroup(pid, "SIGKILL"));
}

/** Returns whether there was anybody to signal. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}

async function tail(file: string): Promise<string> {
  const text = (await readFile(file, "utf8").catch(() => "")).trimEnd();
  return text === "" ? "" : ` Its last lines (${file}):\n${text.split("\n").slice(-tailLines).join("\n")}`;
}
