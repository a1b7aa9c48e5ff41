// Runs the steps of `npm start`, `npm test` and `npm run verify`: each in a process group of its own, with a line of
// progress at least every few seconds, and gone when this process is told to end.
// Plain JavaScript without dependencies: it runs before anything is installed.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const BIN = join(ROOT, "node_modules", ".bin");

const QUIET_MS = 6_000;
const STOP_MS = 20_000;
const GROUP_MS = 5_000;

/** @type {Set<import("node:child_process").ChildProcess>} */
const running = new Set();
let interrupted = false;

/** Prints one line of progress. */
export function say(line) {
  process.stdout.write(`${line}\n`);
}

/** The path of an installed program. */
export function tool(name) {
  return join(BIN, name);
}

/** The environment of every step: the pinned Node before the machine's, what it compiled kept, no telemetry, and each tool's own NODE_ENV. */
export function stepEnvironment(extra = {}) {
  const { NODE_ENV: _, ...inherited } = process.env;
  return {
    ...inherited,
    PATH: `${BIN}${delimiter}${process.env.PATH ?? ""}`,
    NODE_COMPILE_CACHE: join(ROOT, "node_modules", ".cache", "node"),
    NEXT_TELEMETRY_DISABLED: "1",
    TURBO_TELEMETRY_DISABLED: "1",
    ...extra,
  };
}

/**
 * Runs one command and passes on what it prints. Resolves to its exit code; a command that cannot be started, is
 * killed, or takes longer than `timeoutMs` gives a code that is not 0.
 * @param {{ title: string, command: string[], cwd?: string, env?: Record<string, string>, timeoutMs?: number }} step
 */
export async function run({ title, command, cwd = ROOT, env = {}, timeoutMs = 600_000 }) {
  if (interrupted) return 130;
  const [program, ...args] = command;
  const child = spawn(program, args, {
    cwd,
    env: stepEnvironment(env),
    stdio: ["ignore", "pipe", "pipe"],
    // Ctrl-C in a terminal reaches the whole foreground group: vitest and Playwright take a second SIGINT as an order
    // to drop everything, so they get exactly one, from us.
    detached: true,
  });
  running.add(child);
  const beat = heartbeat(title);
  child.stdout.on("data", (chunk) => beat.pass(process.stdout, chunk));
  child.stderr.on("data", (chunk) => beat.pass(process.stderr, chunk));
  const limit = setTimeout(() => {
    say(`${title}: not done after ${timeoutMs / 1000} s, stopping it`);
    void stop(child);
  }, timeoutMs);
  try {
    const [code] = await once(child, "close");
    return code ?? 1;
  } catch (error) {
    say(`${title}: ${error.message}`);
    return 127;
  } finally {
    clearTimeout(limit);
    beat.end();
    running.delete(child);
  }
}

function heartbeat(title) {
  const startedAt = performance.now();
  let lastOutputAt = startedAt;
  const timer = setInterval(() => {
    if (performance.now() - lastOutputAt < QUIET_MS) return;
    lastOutputAt = performance.now();
    say(`… ${title}: ${Math.round((performance.now() - startedAt) / 1000)} s`);
  }, 1_000);
  return {
    pass(stream, chunk) {
      lastOutputAt = performance.now();
      stream.write(chunk);
    },
    end: () => clearInterval(timer),
  };
}

async function stop(child) {
  // Only to the command itself: it tells its own workers, which would otherwise die without stopping their servers.
  child.kill("SIGINT");
  const timer = setTimeout(() => signalGroup(child, "SIGKILL"), STOP_MS);
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  // What the command itself left in its group (the workers of vitest stop their servers) gets a moment to end.
  for (let waitedMs = 0; waitedMs < GROUP_MS && groupLives(child); waitedMs += 50) await pause(50);
  clearTimeout(timer);
  signalGroup(child, "SIGKILL");
}

function groupLives(child) {
  return signalGroup(child, 0);
}

/** Returns whether there was anybody to signal. */
function signalGroup(child, signal) {
  try {
    process.kill(-child.pid, signal);
    return true;
  } catch (error) {
    if (error.code === "ESRCH") return false;
    throw error;
  }
}

async function end(signal, number) {
  // npm and the terminal may both send it: the second one changes nothing.
  if (interrupted) return;
  interrupted = true;
  say(`stopping (${signal})`);
  await Promise.all([...running].map(stop));
  process.exit(128 + number);
}

process.on("SIGINT", () => void end("SIGINT", 2));
process.on("SIGTERM", () => void end("SIGTERM", 15));
process.on("SIGHUP", () => void end("SIGHUP", 1));
