/** `drawdown gateway`: opens the stores, keeps what is remembered true, serves, and stops without losing what is in flight. */
import { applyCredits, BillingError } from "@drawdown/billing";
import { listen as listenToPostgres, type VirtualKeyRow } from "@drawdown/db";
import { type Config, readConfig } from "../config.ts";
import { listen, type Running, runForeground } from "../foreground.ts";
import { stopServer } from "../in-flight.ts";
import { standIn } from "../jobs/stand-in.ts";
import { type Logger, openLog, waitingLog } from "../log.ts";
import { patiently } from "../patience.ts";
import { openStores, warnOfRedis } from "../stores.ts";
import { rememberKeys } from "./keys.ts";
import type { Memory } from "./memory.ts";
import { gatewayMetrics } from "./metrics.ts";
import { Prices } from "./prices.ts";
import { providerConnections } from "./provider.ts";
import { Refusals } from "./refusals.ts";
import { type Gateway, gatewayServer } from "./server.ts";

/** Of the ten seconds that a stop may take: answers end by themselves, then they are cut and charged as far as they came. */
const drainMs = 5_500;
const cutMs = 2_500;

const openTimeoutMs = 2_000;
const listenTimeoutMs = 30_000;

/** Runs until a signal. Returns the exit code. */
export async function gatewayCommand(options: { port?: number }): Promise<number> {
  const config = readConfig(["database", "redis"]);
  const log = openLog("gateway", { level: config.logLevel, secrets: config.secrets });
  return await runForeground(log, (stopping) =>
    startGateway(config, options.port ?? config.gatewayPort, log, stopping),
  );
}

async function startGateway(config: Config, port: number, log: Logger, stopping: AbortSignal): Promise<Running> {
  const onError = waitingLog(log);
  const stores = await patiently({ ms: config.startPatienceMs, log, stopping }, () =>
    openStores(config, { applicationName: "drawdown gateway", openTimeoutMs, onConnectionError: onError }),
  );
  const { billing, db } = stores;
  const closing = new AbortController();
  const cut = new AbortController();
  const keys = rememberKeys(db);
  const prices = new Prices(db, log);
  const listening = keepTrue(config.databaseUrl, keys, prices, closing.signal, onError);
  await listening.begun;
  const agent = providerConnections(config.upstreamSilenceMs);
  const metrics = gatewayMetrics();
  const refusals = new Refusals(db, metrics, log);
  const gateway = gatewayServer({
    billing,
    keys,
    prices,
    refusals,
    agent,
    metrics,
    log,
    stopping,
    cut: cut.signal,
    holdPolicy: config.holdPolicy,
    maxInFlight: config.maxInFlight,
    drain: config.drain,
  });
  const applying = applyCredits({ billing, databaseUrl: config.databaseUrl, signal: closing.signal, onError });
  const standingIn = standIn({ billing, config, signal: closing.signal, onError });
  const where = { host: config.listenHost, port, what: "the gateway", setting: "GATEWAY_PORT" };
  const address = await listen(gateway.app, where);
  await warnOfRedis(billing, log);
  log.info({ address }, "ready");
  return {
    stop: async () => {
      await finish(gateway, cut);
      await refusals.stop();
      closing.abort();
      await Promise.all([listening.ended, applying, standingIn, agent.destroy()]);
      await stores.close();
    },
  };
}

/**
 * Keys and prices follow Postgres' notifications for as long as the process runs. `begun`: they are read and LISTEN is in force, so that
 * nothing that changes from now on is missed; it rejects when Postgres could not be asked in time.
 */
function keepTrue(
  databaseUrl: string,
  keys: Memory<VirtualKeyRow>,
  prices: Prices,
  signal: AbortSignal,
  onError: (error: unknown) => void,
): { begun: Promise<void>; ended: Promise<void> } {
  const begun = Promise.withResolvers<void>();
  const giveUp = setTimeout(() => {
    begun.reject(new BillingError("postgres_unavailable", "The books cannot be reached."));
  }, listenTimeoutMs);
  const ended = listenToPostgres(databaseUrl, ["virtual_key_updated", "model_price_updated"], {
    signal,
    onError,
    // What was said while nobody listened is unknown.
    onConnected: async () => {
      keys.doubt();
      await prices.refresh();
      clearTimeout(giveUp);
      begun.resolve();
    },
    onNotification: (channel, payload) => {
      if (channel === "virtual_key_updated") keys.forget(payload);
      else prices.refresh().catch(onError);
    },
  });
  return { begun: begun.promise, ended };
}

async function finish(gateway: Gateway, cut: AbortController): Promise<void> {
  await stopServer(gateway.app, gateway.inFlight, { drainMs, cutMs, cut: () => cut.abort(), work: gateway.work });
}
