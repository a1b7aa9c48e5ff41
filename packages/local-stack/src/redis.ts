import { existsSync, readFileSync } from "node:fs";
import { mkdir, realpath, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Redis } from "ioredis";
import { freePort, portIsFree } from "./free-port.ts";
import { livingOwner, recordOwner } from "./owner.ts";
import type { RunningServer } from "./postgres.ts";
import { type StopStep, signalProcess, stopProcess, worksIn } from "./processes.ts";
import { ensureRedisServer } from "./redis-server.ts";
import { type ServerProcess, startServerProcess } from "./server-process.ts";
import { waitFor } from "./wait-for.ts";

// A private Redis in one folder, on 127.0.0.1 alone. Everything answered is on disk (appendfsync always) and nothing is
// ever evicted: the balances live here. There is no password, and from Redis 7.0 on none is needed against other
// users of the machine: without one a client can change data, but not write files or load modules.

export type RedisOptions = {
  /** The folder that holds everything of this server; made when missing, used again when there. */
  dir: string;
  /** The port on 127.0.0.1; without it any free one. */
  port?: number;
  /** When an answered write is on disk: `always` (default) or within a second. */
  appendfsync?: "always" | "everysec";
  onProgress?: (line: string) => void;
  /** Further words for the command line, such as `["--maxmemory", "50mb"]`. */
  extraArgs?: readonly string[];
};

const GENTLE_STOP: readonly StopStep[] = [
  { signal: "SIGTERM", waitMs: 10_000 },
  { signal: "SIGKILL", waitMs: 5_000 },
];

/**
 * Starts Redis (or Valkey) on the folder's data, installing the program when the machine has none. A server that a
 * crashed process left behind on the same folder is stopped first. Throws when the port is taken, or a living process
 * runs a server there.
 */
export async function startRedis(options: RedisOptions): Promise<RunningServer> {
  const progress = options.onProgress ?? (() => {});
  if (options.port !== undefined && !(await portIsFree(options.port))) throw portTaken(options.port);
  const program = await ensureRedisServer({ onProgress: progress });
  await mkdir(options.dir, { recursive: true, mode: 0o700 });
  const dir = await realpath(options.dir);
  await removeLeftOver(dir, progress);
  const release = await recordOwner(dir);
  try {
    const { server, port } = await startOnSomePort(program, dir, options);
    return {
      url: `redis://127.0.0.1:${port}`,
      port,
      pid: server.pid,
      stop: () => server.stop().then(release),
      kill: () => server.kill().then(release),
    };
  } catch (error) {
    await release();
    throw error;
  }
}

/** Stops the Redis that a process, now dead, left running on this folder. */
export async function stopLeftOverRedis(dir: string): Promise<void> {
  const pid = await leftOverPid(dir);
  if (pid !== undefined) await stopProcess(pid, GENTLE_STOP);
}

/** The same without waiting for its end, for the last moment of a process. */
export function endLeftOverRedis(dir: string): void {
  const pid = readPid(dir);
  if (pid > 0) signalProcess(pid, "SIGTERM");
}

async function removeLeftOver(dir: string, progress: (line: string) => void): Promise<void> {
  const pid = await leftOverPid(dir);
  if (pid === undefined) return;
  const owner = await livingOwner(dir);
  if (owner !== undefined) throw new Error(`Redis in ${dir} is in use by process ${owner}.`);
  progress(`stopping the Redis that a crash left behind (process ${pid})`);
  await stopProcess(pid, GENTLE_STOP);
}

async function leftOverPid(dir: string): Promise<number | undefined> {
  const pid = readPid(dir);
  return pid > 0 && (await worksIn(pid, await realpath(dir))) ? pid : undefined;
}

// Redis removes the file when it ends gently.
function readPid(dir: string): number {
  const file = join(dir, "redis.pid");
  return existsSync(file) ? Number.parseInt(readFileSync(file, "utf8"), 10) : Number.NaN;
}

// Between finding a free port and binding it another program may take it: another one is tried then.
async function startOnSomePort(
  program: string,
  dir: string,
  options: RedisOptions,
): Promise<{ server: ServerProcess; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort());
    try {
      return { server: await startOnPort(program, dir, port, options), port };
    } catch (error) {
      const bindFailed = error instanceof Error && /in use|listen/i.test(error.message);
      if (bindFailed && options.port === undefined && attempt < 5) continue;
      throw bindFailed && options.port !== undefined ? portTaken(port) : error;
    }
  }
}

async function startOnPort(program: string, dir: string, port: number, options: RedisOptions): Promise<ServerProcess> {
  const settings = {
    bind: "127.0.0.1",
    port: String(port),
    dir: `"${dir}"`,
    daemonize: "no",
    appendonly: "yes",
    appendfsync: options.appendfsync ?? "always",
    save: '""',
    "maxmemory-policy": "noeviction",
    // Another process that looks for a left-over server reads its number here.
    pidfile: `"${join(dir, "redis.pid")}"`,
  };
  const file = join(dir, "redis.conf");
  const lines = Object.entries(settings).map(([name, value]) => `${name} ${value}\n`);
  await writeFile(file, lines.join(""), { mode: 0o600 });
  const server = await startServerProcess({
    command: [program, file, ...(options.extraArgs ?? [])],
    logFile: join(dir, "redis.log"),
    stopSteps: GENTLE_STOP,
  });
  try {
    await waitFor(() => server.hasExited() || answers(port), {
      timeoutMs: 60_000,
      what: "Redis to answer",
      intervalMs: 10,
    });
    if (server.hasExited()) throw new Error(`Redis did not start:\n${await server.logTail()}`);
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

// PING answers LOADING (an error) until the append-only file is read. The client's own check would look again only after a second.
async function answers(port: number): Promise<boolean> {
  const redis = new Redis({
    host: "127.0.0.1",
    port,
    lazyConnect: true,
    enableReadyCheck: false,
    retryStrategy: () => null,
  });
  redis.on("error", () => {});
  try {
    await redis.connect();
    return (await redis.ping()) === "PONG";
  } finally {
    redis.disconnect();
  }
}

function portTaken(port: number): Error {
  return new Error(`Port ${port} on 127.0.0.1 is taken, so Redis cannot use it.`);
}
