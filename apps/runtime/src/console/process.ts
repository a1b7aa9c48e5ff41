/**
 * `drawdown console`: the operators' pages, served by this one process. It starts while a store is away, since the pages say which one
 * is and recover by themselves; a database that is not migrated ends it, since no page could say anything true.
 */
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { BillingError, ensureOperator } from "@drawdown/billing";
import { closeDb, connectDb, isMigrated } from "@drawdown/db";
import { type Config, handToConsole, readConfig } from "../config.ts";
import { listen, type Running, runForeground } from "../foreground.ts";
import { type Logger, openLog } from "../log.ts";
import { Problem } from "../problem.ts";
import { arePagesBuilt, buildPages, pages } from "./build.ts";
import { nameSender } from "./sender.ts";

/** Answers get this long to end by themselves at a stop; live subscriptions never do. */
const drainMs = 1_500;

/** What is used of the custom server that Next documents. */
type Next = (options: { dev: false; dir: string; hostname: string; port: number }) => {
  prepare: () => Promise<void>;
  getRequestHandler: () => Parameters<typeof createServer>[1] & object;
  close: () => Promise<void>;
};

/** Runs until a signal. Returns the exit code. */
export async function consoleCommand(options: { port?: number; build: boolean }): Promise<number> {
  const config = readConfig(["database", "redis"]);
  const log = openLog("console", { level: config.logLevel, secrets: config.secrets });
  return await runForeground(
    log,
    async (stopping) => {
      await prepareDatabase(config, log);
      if (options.build) await buildPages(stopping);
      else if (!arePagesBuilt()) throw new Problem("The console's pages are not built: leave out --no-build.");
      return await serve(config, options.port ?? config.consolePort, log);
    },
    // One page's slip is not to take the other operators' pages away.
    (error) => log.error({ err: error }, "a bug in a page"),
  );
}

/** Makes the first admin that the settings name. Throws a Problem when the database is not migrated to this version. */
async function prepareDatabase(config: Config, log: Logger): Promise<void> {
  const db = connectDb(config.databaseUrl, { max: 1, applicationName: "drawdown console" });
  try {
    if (!(await isMigrated(db)))
      throw new Problem("The database is not migrated to this version: run `drawdown migrate` first.");
    if (config.admin === undefined) return;
    const admin = { ...config.admin, role: "admin" } as const;
    const made = await ensureOperator(db, admin, { renew: false, actor: "DRAWDOWN_ADMIN_EMAIL" });
    if (made === "created") log.info({ email: admin.email }, "the first admin is there");
  } catch (error) {
    if (error instanceof Problem) throw error;
    if (error instanceof BillingError && error.code === "invalid_request")
      throw new Problem(`DRAWDOWN_ADMIN_EMAIL and DRAWDOWN_ADMIN_PASSWORD: ${error.publicMessage}`, { cause: error });
    log.warn({ err: error }, "Postgres cannot be asked: the pages will say so until it can be");
  } finally {
    await closeDb(db);
  }
}

async function serve(config: Config, port: number, log: Logger): Promise<Running> {
  handToConsole(config);
  const { listenHost: host } = config;
  const app = (await loadNext())({ dev: false, dir: pages, hostname: host, port });
  await app.prepare();
  const answer = app.getRequestHandler();
  const server = createServer((request, response) => {
    nameSender(request, config.consoleProxies);
    answer(request, response);
  });
  const begin = (where: { host: string; port: number }) =>
    new Promise<string>((resolve, reject) => {
      server.once("error", reject);
      server.listen(where, () => resolve(urlOf(server.address() as AddressInfo)));
    });
  const address = await listen({ listen: begin }, { host, port, what: "the console", setting: "CONSOLE_PORT" });
  log.info({ address }, "ready");
  return {
    stop: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const late = new AbortController();
      await Promise.race([closed, wait(drainMs, undefined, { signal: late.signal }).catch(() => undefined)]);
      late.abort();
      server.closeAllConnections();
      await closed;
      await app.close();
    },
  };
}

/** The pages' own Next, which is no dependency of this app. */
async function loadNext(): Promise<Next> {
  const entry = createRequire(join(pages, "package.json")).resolve("next");
  const next = (await import(pathToFileURL(entry).href)) as { default: Next };
  return next.default;
}

function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}
