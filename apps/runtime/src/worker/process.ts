/**
 * `drawdown worker`: settles what the streams hold into Postgres, applies credits to Redis, watches the shards, executes
 * operators' bulk acts, and does its part of the schedules. It stops when the batch in hand is committed and acked; what it had not begun
 * stays in the streams.
 */
import { applyCredits, type Billing, BillingError, consume, type Observe, sweepHolds } from "@drawdown/billing";
import type { Db } from "@drawdown/db";
import Fastify from "fastify";
import { Counter, collectDefaultMetrics, Registry } from "prom-client";
import { type Config, readConfig } from "../config.ts";
import { listen, type Running, runForeground } from "../foreground.ts";
import { type Health, healthRoutes } from "../health.ts";
import { type InFlight, stopServer, trackInFlight } from "../in-flight.ts";
import { operationTasks, resumeLoop } from "../jobs/operations.ts";
import { runJobs } from "../jobs/runner.ts";
import { scheduleJobs } from "../jobs/schedule-tasks.ts";
import { type Logger, openLog, waitingLog } from "../log.ts";
import { patiently } from "../patience.ts";
import { openStores, warnOfRedis } from "../stores.ts";
import { takeName } from "./name.ts";

const watchEveryMs = 1_000;
const openTimeoutMs = 2_000;

/** Runs until a signal. Returns the exit code. */
export async function workerCommand(options: { port?: number }): Promise<number> {
  const config = readConfig(["database", "redis"]);
  const log = openLog("worker", { level: config.logLevel, secrets: config.secrets });
  return await runForeground(log, (stopping) => startWorker(config, options.port, log, stopping));
}

async function startWorker(
  config: Config,
  port: number | undefined,
  log: Logger,
  stopping: AbortSignal,
): Promise<Running> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const onError = waitingLog(log);
  const observe = countPoints(registry);
  const patience = { ms: config.startPatienceMs, log, stopping };
  const stores = await patiently(patience, () =>
    openStores(config, { applicationName: "drawdown worker", openTimeoutMs, observe, onConnectionError: onError }),
  );
  const { billing, db } = stores;
  const onLost = () => {
    log.fatal("another worker has taken this worker's name: ending, to start with a free one");
    process.exit(1);
  };
  const named =
    config.consumerName === undefined
      ? await patiently(patience, () => takeName(config.databaseUrl, onLost))
      : { name: config.consumerName, release: async () => undefined };
  const health = { registry, checks: () => checks(billing, db, stopping) };
  const server = port === undefined ? undefined : await serveHealth(config.listenHost, port, health);
  const closing = new AbortController();
  const queue = { signal: closing.signal, log, onError };
  const schedules = scheduleJobs(billing, config, queue);
  // A loop that rejects is a bug, and unheard: the process must not look alive without it.
  const work = Promise.all([
    consume({ billing, consumer: named.name, signal: closing.signal, settings: config.consumer, onError }),
    applyCredits({ billing, databaseUrl: config.databaseUrl, signal: closing.signal, onError }),
    watchShards(billing, closing.signal, onError),
    runJobs({
      ...queue,
      ...schedules,
      databaseUrl: config.databaseUrl,
      taskList: { ...operationTasks(billing, closing.signal, onError), ...schedules.taskList },
    }),
    resumeLoop(billing, closing.signal, onError),
  ]);
  await warnOfRedis(billing, log);
  log.info({ consumer: named.name, port }, "ready");
  return {
    stop: async () => {
      closing.abort();
      await work;
      await named.release();
      if (server) await stopServer(server.app, server.inFlight, { drainMs: 500, cutMs: 0, cut: () => undefined });
      await stores.close();
    },
  };
}

async function serveHealth(host: string, port: number, health: Health) {
  const app = Fastify({ logger: false, forceCloseConnections: "idle", return503OnClosing: false });
  const inFlight: InFlight = trackInFlight(app);
  healthRoutes(app, health);
  await listen(app, { host, port, what: "the worker", setting: "--port" });
  return { app, inFlight };
}

/** Ready is: able to settle. */
async function checks(billing: Billing, db: Db, stopping: AbortSignal): Promise<Record<string, string>> {
  const said = async (ask: () => Promise<unknown>): Promise<string> => {
    try {
      await ask();
      return "ok";
    } catch (error) {
      return error instanceof BillingError ? error.publicMessage : "cannot be reached";
    }
  };
  const [redis, postgres] = await Promise.all([
    said(() => billing.ask((client) => client.ping())),
    said(() => db.$client.query("SELECT 1")),
  ]);
  return { process: stopping.aborted ? "stopping" : "ok", redis, postgres };
}

/**
 * Each second: compares the shards' epochs in both stores, so that a Redis that lost something is fenced within seconds, and releases
 * expired holds.
 */
async function watchShards(billing: Billing, signal: AbortSignal, onError: (error: unknown) => void): Promise<void> {
  while (!signal.aborted) {
    try {
      await billing.fence.watch();
      await sweepHolds(billing);
    } catch (error) {
      onError(error);
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, watchEveryMs);
      function done(): void {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      }
      signal.addEventListener("abort", done);
      if (signal.aborted) done();
    });
  }
}

/** Every named point of the way of money is counted; what came in numbers (entries, credits) is added up. */
function countPoints(registry: Registry): Observe {
  const points = new Counter({
    name: "drawdown_worker_points_total",
    help: "How often the worker passed each named point.",
    labelNames: ["point"] as const,
    registers: [registry],
  });
  const entries = new Counter({
    name: "drawdown_worker_entries_total",
    help: "Stream entries that passed each named point.",
    labelNames: ["point"] as const,
    registers: [registry],
  });
  return (point, detail) => {
    points.inc({ point });
    if (typeof detail?.["entries"] === "number") entries.inc({ point }, detail["entries"]);
  };
}
