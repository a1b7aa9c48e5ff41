// Brings up everything that `npm start` runs, in the order in which one thing needs the other.

import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type Claim, claimFolder, FolderInUseError, freePort, portIsFree } from "@drawdown/local-stack";
import type { Seeded } from "../cli/seed.ts";
import type { Config } from "../config.ts";
import { buildOfPages } from "../console/build.ts";
import { Problem } from "../problem.ts";
import { openStores as openOwnStores } from "../stores.ts";
import type { Cleanup } from "./cleanup.ts";
import { type Household, type RunningProcess, runCommand, startProcess, waitUntilReady } from "./process.ts";
import type { Progress } from "./progress.ts";
import { openStores, type Stores } from "./stores.ts";
import { dieNowAndThen, sendOne, sendTraffic } from "./traffic.ts";

export type Start = { dir: string; root: string; config: Config; cleanup: Cleanup; progress: Progress };

export type Stack = {
  consoleUrl: string;
  gatewayUrl: string;
  seeded: Seeded;
  /** Resolves when one of the processes ends although nobody told it to. */
  broken: Promise<Problem>;
};

type Addresses = { consoleUrl: string; gatewayUrl: string; upstreamUrl: string; workerUrl: string };

/** How long a start waits for another one in the same folder, which may be about to end. */
const waitForOtherMs = 15_000;
const demoStores = {
  applicationName: "drawdown demo",
  maxConnections: 2,
  openTimeoutMs: 5_000,
  // Its traffic waits for a store that is away; the processes say so in their logs.
  onConnectionError: () => {},
};

/**
 * Starts it all and resolves when everything answers. Throws a Problem when something cannot be started; what had
 * started by then is registered in `cleanup`.
 */
export async function startStack(start: Start): Promise<Stack> {
  const { dir, root, config, cleanup, progress } = start;
  const claim = await waitForClaim(start);
  await cleanup.add("the claim", () => claim.release());
  await mkdir(join(dir, "logs"), { recursive: true });
  await checkPorts(config);
  const household: Household = { dir, root, claim, cleanup };

  const [stores] = await all([openStores(dir, config, cleanup, progress), buildConsole(household, progress)]);
  const addresses = await chooseAddresses(config);
  const drawdown = commandLine(root, stores, addresses);
  await progress.during("migrating the database", runCommand(household, drawdown("migration", "migrate")));
  const seeding = runCommand(household, drawdown("seeding", "seed", "--json", "--upstream", addresses.upstreamUrl));
  const seeded = JSON.parse(await progress.during("making demo customers and importing prices", seeding)) as Seeded;

  const processes = await startProcesses(household, drawdown, { addresses, progress });
  await writeStack(start, { stores, addresses, processes });
  const showing = runCommand(household, drawdown("demo data", "demo", "--json"));
  await progress.during("making demo data that show every page", showing);
  await startDemo(addresses.gatewayUrl, seeded, stores, start);
  return { ...addresses, seeded, broken: Promise.race(Object.values(processes).map((process) => process.ended)) };
}

async function waitForClaim({ dir, progress }: Start): Promise<Claim> {
  const deadline = performance.now() + waitForOtherMs;
  let said = false;
  for (;;) {
    try {
      return await claimFolder(dir, { onProgress: (line) => progress.say(line) });
    } catch (error) {
      if (!(error instanceof FolderInUseError)) throw error;
      const other = `Another start runs in this checkout (process ${error.pid})`;
      if (performance.now() > deadline) throw new Problem(`${other}. Stop it first.`, { cause: error });
      if (!said) progress.say(`${other}: waiting a moment, it may be about to end`);
      said = true;
      await pause(200);
    }
  }
}

// Before anything is started: the servers would come up in vain.
async function checkPorts(config: Config): Promise<void> {
  const wanted = [
    { port: config.gatewayPort, who: "the gateway", setting: "GATEWAY_PORT" },
    { port: config.consolePort, who: "the console", setting: "CONSOLE_PORT" },
  ];
  if (config.gatewayPort === config.consolePort) {
    throw new Problem(`GATEWAY_PORT and CONSOLE_PORT are both ${config.gatewayPort}: set one of them to another.`);
  }
  const problems: string[] = [];
  for (const { port, who, setting } of wanted) {
    if (await portIsFree(port)) continue;
    problems.push(
      `Port ${port} is taken: ${who} cannot listen on it. Stop what uses the port, or set ${setting} to another.`,
    );
  }
  if (problems.length > 0) throw new Problem(problems.join("\n"));
}

async function buildConsole(household: Household, progress: Progress): Promise<void> {
  await progress.during(
    "building the console",
    runCommand(household, { name: "build of the console", ...buildOfPages }),
  );
}

async function chooseAddresses(config: Config): Promise<Addresses> {
  const local = (port: number) => `http://127.0.0.1:${port}`;
  return {
    consoleUrl: local(config.consolePort),
    gatewayUrl: local(config.gatewayPort),
    upstreamUrl: local(await freePort()),
    workerUrl: local(await freePort()),
  };
}

function commandLine(root: string, stores: Stores, addresses: Addresses) {
  const environment: Record<string, string> = {
    DATABASE_URL: stores.databaseUrl,
    ...(stores.redisUrl === "" ? {} : { REDIS_URL: stores.redisUrl }),
    GATEWAY_PORT: portOf(addresses.gatewayUrl),
    CONSOLE_PORT: portOf(addresses.consoleUrl),
  };
  return (name: string, ...args: string[]) => ({
    name,
    command: [process.execPath, join(root, "apps/runtime/bin/drawdown.mjs"), ...args],
    environment,
  });
}

type Processes = Record<"upstream" | "worker" | "gateway" | "console", RunningProcess>;

async function startProcesses(
  household: Household,
  drawdown: ReturnType<typeof commandLine>,
  { addresses, progress }: { addresses: Addresses; progress: Progress },
): Promise<Processes> {
  const { upstreamUrl, workerUrl, gatewayUrl, consoleUrl } = addresses;
  const processes = {
    console: await startProcess(household, drawdown("console", "console", "--no-build")),
    upstream: await startProcess(household, drawdown("upstream", "upstream", "--port", portOf(upstreamUrl))),
    worker: await startProcess(household, drawdown("worker", "worker", "--port", portOf(workerUrl))),
    gateway: await startProcess(household, drawdown("gateway", "gateway")),
  };
  const ready = all([
    waitUntilReady("upstream", `${upstreamUrl}/readyz`, processes.upstream),
    waitUntilReady("worker", `${workerUrl}/readyz`, processes.worker),
    waitUntilReady("gateway", `${gatewayUrl}/readyz`, processes.gateway),
    waitUntilReady("console", `${consoleUrl}/sign-in`, processes.console),
  ]);
  await progress.during("starting upstream, worker, gateway and console", ready);
  return processes;
}

/** Written for the command line, which finds the running stack here, and for people. It holds the database's password. */
async function writeStack(
  { dir, cleanup }: Start,
  { stores, addresses, processes }: { stores: Stores; addresses: Addresses; processes: Processes },
): Promise<void> {
  const file = join(dir, "stack.json");
  const { databaseUrl, redisUrl } = stores;
  const pids = {
    start: process.pid,
    ...stores.pids,
    ...Object.fromEntries(Object.entries(processes).map(([name, { pid }]) => [name, pid])),
  };
  const stack = { databaseUrl, ...(redisUrl === "" ? {} : { redisUrl }), ...addresses, pids };
  await writeFile(file, `${JSON.stringify(stack, null, 2)}\n`, { mode: 0o600 });
  await cleanup.add("stack.json", () => rm(file, { force: true }));
}

// The first key is the one that is printed: traffic leaves it alone, so that its owner sees only his own requests.
async function startDemo(
  gatewayUrl: string,
  seeded: Seeded,
  { databaseUrl, redisUrl }: Stores,
  { config, cleanup, progress }: Start,
): Promise<void> {
  const [shown, ...others] = seeded.keys.map((key) => key.api_key);
  if (shown === undefined) throw new Problem("The demo data has no key.");
  const traffic = { gatewayUrl, apiKeys: others.length > 0 ? others : [shown] };
  await progress.during("sending the first request", proveThatItServes({ ...traffic, shown }));
  const redis = redisUrl === "" ? config.redis : { redisUrl };
  const opened = await openOwnStores({ ...config, databaseUrl, redis }, demoStores);
  const stopping = new AbortController();
  const sending = Promise.all([sendTraffic(traffic, stopping.signal), dieNowAndThen(opened.billing, stopping.signal)]);
  await cleanup.add("the demo traffic", async () => {
    stopping.abort();
    await sending;
    await opened.close();
  });
}

async function proveThatItServes(demo: { gatewayUrl: string; apiKeys: string[]; shown: string }): Promise<void> {
  const headers = { authorization: `Bearer ${demo.shown}` };
  const balance = await fetch(`${demo.gatewayUrl}/v1/balance`, { headers, signal: AbortSignal.timeout(30_000) });
  if (!balance.ok) throw new Problem(`The gateway does not accept the demo key: ${await balance.text()}`);
  if (!(await sendOne(demo, 0))) throw new Problem("The gateway did not serve the first request: see its log.");
}

function portOf(url: string): string {
  return new URL(url).port;
}

/** All to their end, so that nothing goes on after a failure is passed on; then the first failure, if any. */
async function all<T extends unknown[]>(work: { [K in keyof T]: Promise<T[K]> }): Promise<T> {
  const settled = await Promise.allSettled(work);
  const failure = settled.find((result) => result.status === "rejected");
  if (failure !== undefined) throw failure.reason;
  return Promise.all(work);
}
