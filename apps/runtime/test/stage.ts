/**
 * The real thing for a test file: a database of its own, a Redis of its own, and the commands as processes, started as an operator
 * starts them. All that they write to standard error is kept, so that it can be searched.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { closeDb, connectDb, type Db } from "@drawdown/db";
import { freePort, type TestRedis, testDatabase, testRedis, waitFor } from "@drawdown/local-stack";
import type { Seeded } from "../src/cli/seed.ts";

export const bin = fileURLToPath(new URL("../bin/drawdown.mjs", import.meta.url));

export type Exit = { code: number | null; signal: NodeJS.Signals | null; afterMs: number };
export type Started = {
  child: ChildProcess;
  stdout: () => string;
  stderr: () => string;
  exited: Promise<Exit>;
  /** Signals the whole process group, as a terminal does. */
  signal: (name: NodeJS.Signals) => void;
};

/** Runs `drawdown <args>` in a process group of its own. */
export function start(args: readonly string[], env: Record<string, string>, nodeArgs: readonly string[] = []): Started {
  const startedAt = performance.now();
  // As the launcher's shadow it ends when this process ends: an interrupted test run leaves nothing behind.
  const shadow = nodeArgs.length === 0;
  const child = spawn(process.execPath, [...nodeArgs, bin, ...args], {
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...(shadow ? { DRAWDOWN_SHADOW: "1" } : {}), ...env },
    stdio: ["ignore", "pipe", "pipe", ...(shadow ? (["ipc"] as const) : [])],
    detached: true,
  });
  let [stdout, stderr] = ["", ""];
  child.stdout?.on("data", (bytes) => (stdout += bytes));
  child.stderr?.on("data", (bytes) => (stderr += bytes));
  const exited = new Promise<Exit>((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, afterMs: performance.now() - startedAt }));
  });
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    exited,
    signal: (name) => {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    },
  };
}

/** Runs a command to its end. */
export async function run(args: readonly string[], env: Record<string, string>) {
  const started = start(args, env);
  const exit = await started.exited;
  return { ...exit, stdout: started.stdout(), stderr: started.stderr() };
}

export async function answers(url: string, status: number, timeoutMs = 40_000): Promise<void> {
  await waitFor(
    async () => {
      const response = await fetch(url).catch(() => undefined);
      return response?.status === status;
    },
    { timeoutMs, what: `${url} to answer ${status}` },
  );
}

export type Key = Seeded["keys"][number];
export type Stage = {
  db: Db;
  redis: TestRedis;
  env: Record<string, string>;
  gatewayUrl: string;
  upstreamUrl: string;
  user1: Key;
  user2: Key;
  tenant1: Key;
  tenant2: Key;
  gateway: Started;
  worker: Started;
  upstream: Started;
  /** Seeds again: new secrets. */
  seed: () => Promise<Seeded>;
  stop: () => Promise<void>;
};

export const providerKey = "sk-provider-key-that-must-not-leak-0123456789";

/** Database (or the one given), Redis, seed, then upstream, gateway and worker, all ready. */
export async function openStage(
  extraEnv: Record<string, string> = {},
  given?: { url: string; drop: () => Promise<void> },
): Promise<Stage> {
  const [database, redis] = await Promise.all([given ?? testDatabase(), testRedis()]);
  const [gatewayPort, upstreamPort, workerPort] = await Promise.all([freePort(), freePort(), freePort()]);
  const env = {
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    GATEWAY_PORT: String(gatewayPort),
    OPENAI_API_KEY: providerKey,
    ...extraEnv,
  };
  const gatewayUrl = `http://127.0.0.1:${gatewayPort}`;
  const upstreamUrl = `http://127.0.0.1:${upstreamPort}`;
  const seed = async (): Promise<Seeded> => {
    const { code, stdout, stderr } = await run(["seed", "--json", "--upstream", upstreamUrl], env);
    if (code !== 0) throw new Error(`seed failed: ${stderr}`);
    return JSON.parse(stdout) as Seeded;
  };
  const seeded = await seed();
  const upstream = start(["upstream", "--port", String(upstreamPort)], env);
  const gateway = start(["gateway"], env);
  const worker = start(["worker", "--port", String(workerPort)], env);
  const ready = [upstreamUrl, gatewayUrl, `http://127.0.0.1:${workerPort}`].map((url) => answers(`${url}/readyz`, 200));
  await Promise.all(ready).catch((error: unknown) => {
    throw new Error(`not ready:\n${upstream.stderr()}${gateway.stderr()}${worker.stderr()}`, { cause: error });
  });
  const db = connectDb(database.url);
  const key = (index: number): Key => {
    const found = seeded.keys[index];
    if (found === undefined) throw new Error(`the seed has no key ${index}`);
    return found;
  };
  return {
    db,
    redis,
    env,
    gatewayUrl,
    upstreamUrl,
    user1: key(0),
    user2: key(1),
    tenant1: key(2),
    tenant2: key(3),
    gateway,
    worker,
    upstream,
    seed,
    stop: async () => {
      const running = [gateway, worker, upstream].filter(
        ({ child }) => child.exitCode === null && child.signalCode === null,
      );
      for (const one of running) one.signal("SIGTERM");
      await Promise.all(running.map(({ exited }) => exited));
      await closeDb(db);
      await redis.stop();
      await database.drop();
    },
  };
}

export function post(
  url: string,
  apiKey: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json", ...headers },
    body: typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body),
  });
}

/** How many requests the simulated provider has received. */
export async function receivedCount(stage: Stage): Promise<number> {
  return ((await (await fetch(`${stage.upstreamUrl}/requests`)).json()) as { count: number }).count;
}

export type UsageRow = Record<string, unknown> & {
  cost: string;
  balance_before: string;
  balance_after: string;
  usage_source: string;
  /** int8 comes as text. */
  input_tokens: string;
  output_tokens: string;
};

/** The settled row of a deduction, as soon as the worker has written it. */
export async function settled(stage: Stage, deductionId: string): Promise<UsageRow> {
  return await waitFor(
    async () => {
      const { rows } = await stage.db.$client.query<UsageRow>(
        "SELECT * FROM data.usage_log WHERE deduction_id = $1 AND settled_at IS NOT NULL",
        [deductionId],
      );
      return rows[0];
    },
    { timeoutMs: 10_000, what: `deduction ${deductionId} to settle` },
  );
}

/** The settled row of what a request id was charged. */
export async function settledRequest(stage: Stage, requestId: string): Promise<UsageRow> {
  const found = await waitFor(
    async () => {
      const sql = "SELECT deduction_id FROM data.usage_log WHERE request_id = $1";
      return (await stage.db.$client.query<{ deduction_id: string }>(sql, [requestId])).rows[0];
    },
    { timeoutMs: 10_000, what: `request ${requestId} to be in usage_log` },
  );
  return await settled(stage, found.deduction_id);
}

export async function balanceOf(stage: Stage, key: Key): Promise<{ balance: string; held: string; available: string }> {
  const response = await fetch(`${stage.gatewayUrl}/v1/balance`, { headers: { "x-api-key": key.api_key } });
  return (await response.json()) as { balance: string; held: string; available: string };
}
