/**
 * A whole Drawdown for one worker of the browser tests, or for looking at pages by hand: Postgres and Redis of its own, the simulated
 * provider, gateway, worker and console as processes, as an operator runs them. Every part can be taken away and brought back.
 */
import { rm } from "node:fs/promises";
import { type Billing, closeBilling, openBilling } from "@drawdown/billing";
import { closeDb, connectDb, type Db } from "@drawdown/db";
import { freePort, startRedis, testFolder, waitFor } from "@drawdown/local-stack";
import { type Part, type ProcessPart, processPart, runDrawdown, runInShell, storePart } from "./parts.ts";
import { copyTemplate, type Key, openPostgres, type Seeded, wholeFolder } from "./template.ts";

export type Charged = {
  deduction_id: string;
  cost: string;
  balance_before: string;
  balance_after: string;
  account_seq: string;
};

export type ChargeOptions = { provider?: string; model?: string; usage?: Record<string, number>; requestId?: string };

export type Stage = Seeded & {
  consoleUrl: string;
  gatewayUrl: string;
  /** For processes of the test's own: DATABASE_URL, REDIS_URL and the ports. */
  env: Record<string, string>;
  postgres: Part & { url: string };
  redis: Part & { url: string };
  upstream: ProcessPart;
  gateway: ProcessPart;
  worker: ProcessPart;
  console: ProcessPart;
  /** Brings back whatever was taken away. */
  restore: () => Promise<void>;
  db: Db;
  /** The functions of packages/billing on this stage's stores; `billing.redis` is the client. */
  billing: () => Promise<Billing>;
  rows: <Row extends object = Record<string, unknown>>(sql: string, values?: unknown[]) => Promise<Row[]>;
  /** The nth key of the seed: 0 and 1 are users with accounts of their own, 2 and 3 share a tenant's. Throws when there is none. */
  key: (index: number) => Key;
  /** A POST to the gateway as the key's customer, such as `/v1/chat/completions`. */
  post: (path: string, key: Key, body: unknown) => Promise<Response>;
  /** One charge through the gateway (`/v1/charges`); without options a call to gpt-4o-mini. Throws when it is refused. */
  charge: (key: Key, options?: ChargeOptions) => Promise<Charged>;
  /** Waits until the worker has written the deduction, and returns its usage_log row. Throws with what is known of it after 20 s. */
  settled: (deductionId: string) => Promise<Record<string, unknown>>;
  /** Runs `drawdown <args>` to its end and returns what it printed; throws with what it said when it fails. */
  drawdown: (...args: string[]) => Promise<string>;
  /** Runs a command line that was copied from a page, at the root of the checkout. */
  shell: (line: string) => Promise<void>;
  /** Stops everything and removes its data. */
  close: () => Promise<void>;
};

/**
 * Ready when it returns: with the seed's customers alone, or with all that `drawdown demo` makes. Needs the built pages (`drawdown console
 * --no-build` serves them).
 */
export async function openStage({ demo }: { demo: boolean }): Promise<Stage> {
  const [{ dir: postgresDir, seeded }, redisDir] = await Promise.all([copyTemplate(), testFolder("redis")]);
  const [postgres, redis] = await Promise.all([
    storePart((port) => openPostgres(postgresDir, port)),
    storePart((port) => startRedis({ dir: redisDir, ...(port === undefined ? {} : { port }) })),
  ]);
  const db = connectDb(postgres.url, { max: 4, applicationName: "browser tests", onConnectionError: () => {} });
  const { env, urls, processes } = await chooseProcesses(postgres.url, redis.url);
  await db.$client.query("UPDATE data.provider SET base_url = $1", [urls.upstream]);
  await Promise.all(Object.values(processes).map((part) => part.start()));
  if (demo) await runDrawdown(["demo"], env);
  let opened: Promise<Billing> | undefined;
  const { postgres: _, ...rest } = { postgres, ...processes };
  return {
    ...seeded,
    ...rest,
    ...acts(urls.gateway, seeded, db, env, processes.worker),
    postgres,
    redis,
    db,
    env,
    consoleUrl: urls.console,
    gatewayUrl: urls.gateway,
    billing: () => (opened ??= openBilling({ redisUrl: redis.url, db })),
    restore: async () => {
      await Promise.all([postgres.start(), redis.start()]);
      await Promise.all(Object.values(processes).map((part) => part.start()));
    },
    close: async () => {
      await Promise.all(Object.values(processes).map((part) => part.stop()));
      if (opened) await closeBilling(await opened);
      await closeDb(db);
      await Promise.all([postgres.stop(), redis.stop()]);
      await Promise.all([postgresDir, redisDir].map((dir) => rm(wholeFolder(dir), { recursive: true, force: true })));
    },
  };
}

async function chooseProcesses(databaseUrl: string, redisUrl: string) {
  const ports = {
    console: await freePort(),
    gateway: await freePort(),
    upstream: await freePort(),
    worker: await freePort(),
  };
  const local = (port: number) => `http://127.0.0.1:${port}`;
  const urls = { console: local(ports.console), gateway: local(ports.gateway), upstream: local(ports.upstream) };
  const env = {
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    GATEWAY_PORT: String(ports.gateway),
    CONSOLE_PORT: String(ports.console),
  };
  const { upstream, worker } = ports;
  const processes = {
    upstream: processPart(["upstream", "--port", String(upstream)], env, `${local(upstream)}/readyz`),
    gateway: processPart(["gateway"], env, `${urls.gateway}/readyz`),
    worker: processPart(["worker", "--port", String(worker)], env, `${local(worker)}/readyz`),
    console: processPart(["console", "--no-build"], env, `${urls.console}/sign-in`),
  };
  return { env, urls, processes };
}

function acts(gatewayUrl: string, seeded: Seeded, db: Db, env: Record<string, string>, worker: ProcessPart) {
  const rows: Stage["rows"] = async <Row extends object>(sql: string, values?: unknown[]) =>
    (await db.$client.query<Row>(sql, values)).rows;
  const post: Stage["post"] = (path, key, body) =>
    fetch(`${gatewayUrl}${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${key.api_key}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const charge: Stage["charge"] = async (key, options = {}) => {
    const {
      provider = "openai",
      model = "gpt-4o-mini",
      usage = { prompt_tokens: 900, completion_tokens: 120 },
    } = options;
    const answer = await post("/v1/charges", key, {
      provider,
      model,
      usage,
      request_id: options.requestId ?? crypto.randomUUID(),
    });
    if (!answer.ok) throw new Error(`The charge was refused (${answer.status}): ${await answer.text()}`);
    return (await answer.json()) as Charged;
  };
  return {
    rows,
    post,
    charge,
    key: (index: number) => {
      const key = seeded.keys[index];
      if (key === undefined) throw new Error(`The seed has no key ${index}.`);
      return key;
    },
    settled: (deductionId: string) =>
      waitFor(
        async () =>
          (
            await rows("SELECT * FROM data.usage_log WHERE deduction_id = $1 AND settled_at IS NOT NULL", [deductionId])
          )[0],
        { timeoutMs: 20_000, what: `deduction ${deductionId} to settle` },
      ).catch(async (error: unknown) => {
        const trace = await runDrawdown(["trace", deductionId], env).catch(String);
        throw new Error(
          `${error instanceof Error ? error.message : String(error)}\n${trace}\nThe worker said:\n${worker.said()}`,
        );
      }),
    drawdown: (...args: string[]) => runDrawdown(args, env),
    shell: (line: string) => runInShell(line, env),
  };
}
