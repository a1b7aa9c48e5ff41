// A private stage for a measurement: Postgres, Redis and child processes in a folder of its own, gone with it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { migrate } from "@drawdown/db";
import { freePort, startPostgres, startRedis, waitFor } from "@drawdown/local-stack";

const bin = fileURLToPath(new URL("../apps/runtime/bin/drawdown.mjs", import.meta.url));

/** How durable an answered charge is, for every Redis here: as `npm start` has it. */
export const DURABILITY = "appendfsync always";

export type Stack = {
  databaseUrl: string;
  redisUrl: string;
  /** Environment of the product's processes; `GATEWAY_PORT` is free. */
  env: Record<string, string>;
  /** Starts a file of this folder with Node; its standard output is the caller's to read. */
  start(file: string, args?: readonly string[]): ChildProcess;
  /** Starts `drawdown <args>` until the stack stops. */
  startDrawdown(...args: string[]): ChildProcess;
  /** Runs `drawdown <args>` to its end and returns what it printed. Throws when it fails. */
  drawdown(...args: string[]): Promise<string>;
  stop(): Promise<void>;
};

export type StackOptions = { postgres?: Record<string, string>; redisArgs?: readonly string[] };

/** Postgres, migrated, and Redis with `appendfsync always`. */
export async function openStack(options: StackOptions = {}): Promise<Stack> {
  const dir = await mkdtemp(join(tmpdir(), "drawdown-bench-"));
  const [postgres, redis] = await Promise.all([
    startPostgres({ dir: join(dir, "postgres"), settings: options.postgres ?? {} }),
    startRedis({ dir: join(dir, "redis"), appendfsync: "always", extraArgs: options.redisArgs ?? [] }),
  ]);
  await migrate(postgres.url);
  const children = new Set<ChildProcess>();
  // Interrupted: the servers are told to end by who started them.
  const abandon = () => {
    for (const child of children) child.kill("SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  };
  process.once("exit", abandon);
  const env = { DATABASE_URL: postgres.url, REDIS_URL: redis.url, GATEWAY_PORT: String(await freePort()) };
  const run = (args: readonly string[]) => {
    const child = spawn(process.execPath, args, {
      env: { ...process.env, LOG_LEVEL: "warn", ...env },
      stdio: ["ignore", "pipe", "inherit"],
    });
    children.add(child);
    child.once("exit", () => children.delete(child));
    return child;
  };
  return {
    databaseUrl: postgres.url,
    redisUrl: redis.url,
    env,
    start: (file, args = []) => run([fileURLToPath(new URL(file, import.meta.url)), ...args]),
    startDrawdown: (...args) => run([bin, ...args]),
    drawdown: async (...args) => await printed(run([bin, ...args]), args),
    stop: async () => {
      process.off("exit", abandon);
      const ended = [...children].map((child) => once(child, "exit"));
      for (const child of children) child.kill("SIGTERM");
      await Promise.all(ended);
      await Promise.all([postgres.stop(), redis.stop()]);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function printed(child: ChildProcess, args: readonly string[]): Promise<string> {
  let said = "";
  child.stdout?.on("data", (bytes) => (said += bytes));
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`drawdown ${args.join(" ")} exited ${code}`);
  return said;
}

/** Until a role's readiness says yes. */
export async function untilReady(url: string): Promise<void> {
  const ready = async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.status === 200;
  await waitFor(ready, { timeoutMs: 30_000, what: `${url} to be ready` });
}

/** Gives a folder to a measurement that starts a server by itself, and removes it after. */
export async function inFolder<T>(measure: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), "drawdown-bench-"));
  const abandon = () => rmSync(dir, { recursive: true, force: true });
  process.once("exit", abandon);
  try {
    return await measure(join(dir, "server"));
  } finally {
    process.off("exit", abandon);
    await rm(dir, { recursive: true, force: true });
  }
}
