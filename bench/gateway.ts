/**
 * What billing costs a proxied call: the gateway against a plain proxy in front of the same upstream, side by side in alternating rounds.
 * `npm run bench`, with `--json` as data. Exits 1 when a target is missed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { migrate } from "@drawdown/db";
import { freePort, startPostgres, startRedis, waitFor } from "@drawdown/local-stack";
import { Agent, request } from "undici";

const rounds = 5;
const warmMs = 2_000;
const roundMs = 3_000;
/** Enough to keep both busy; and so few that nobody waits for another. */
const lanes = { busy: 32, calm: 2 };

type Row = { row: string; value: number; against: string; target: string | null; met: boolean | null };
type Round = { perSecond: number; p50: number; p99: number };

const bin = fileURLToPath(new URL("../apps/runtime/bin/drawdown.mjs", import.meta.url));
const proxyFile = fileURLToPath(new URL("./plain-proxy.ts", import.meta.url));
const children = new Set<ChildProcess>();

function start(args: string[], env: Record<string, string> = {}): ChildProcess {
  const child = spawn(process.execPath, args, {
    env: { ...process.env, LOG_LEVEL: "warn", ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.add(child);
  return child;
}

async function run(args: string[], env: Record<string, string>): Promise<string> {
  const child = start([bin, ...args], env);
  let said = "";
  child.stdout?.on("data", (bytes) => (said += bytes));
  const [code] = await once(child, "close");
  children.delete(child);
  if (code !== 0) throw new Error(`drawdown ${args.join(" ")} exited ${code}`);
  return said;
}

async function answers(url: string): Promise<void> {
  const ready = async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.status === 200;
  await waitFor(ready, { timeoutMs: 30_000, what: `${url} to be ready` });
}

/** Postgres, Redis (`appendfsync always`), upstream, worker and gateway, and the plain proxy beside it. */
async function openStack(dir: string) {
  const [postgres, redis] = await Promise.all([
    startPostgres({ dir: join(dir, "postgres") }),
    startRedis({ dir: join(dir, "redis"), appendfsync: "always" }),
  ]);
  await migrate(postgres.url);
  const [gatewayPort, upstreamPort] = await Promise.all([freePort(), freePort()]);
  const env = {
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
    GATEWAY_PORT: String(gatewayPort),
    OPENAI_API_KEY: "bench",
  };
  const upstream = `http://127.0.0.1:${upstreamPort}`;
  const seeded = JSON.parse(await run(["seed", "--json", "--upstream", upstream], env)) as {
    keys: { api_key: string }[];
  };
  start([bin, "upstream", "--port", String(upstreamPort)], env);
  start([bin, "worker"], env);
  start([bin, "gateway"], env);
  const gateway = `http://127.0.0.1:${gatewayPort}`;
  await Promise.all([answers(upstream), answers(gateway)]);
  const plain = start([proxyFile, upstream]);
  const [line] = (await once(plain.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
  const apiKey = seeded.keys[0]?.api_key ?? "";
  return {
    urls: { plain: line.toString().trim(), gateway },
    apiKey,
    stop: () => Promise.all([postgres.stop(), redis.stop()]),
  };
}

const body = JSON.stringify({
  model: "gpt-4o-mini",
  max_tokens: 100,
  messages: [{ role: "user", content: `[upstream: tokens=20] ${"A question of some length. ".repeat(20)}` }],
});

/** Asks from so many lanes for so long. Latencies in milliseconds. */
async function ask(url: string, apiKey: string, concurrency: number, ms: number): Promise<Round> {
  const dispatcher = new Agent({ connections: concurrency });
  const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json" };
  const taken: number[] = [];
  const startedAt = performance.now();
  const lane = async () => {
    while (performance.now() - startedAt < ms) {
      const at = performance.now();
      const answer = await request(`${url}/v1/chat/completions`, { method: "POST", dispatcher, headers, body });
      const text = await answer.body.text();
      if (answer.statusCode !== 200) throw new Error(`${url} answered ${answer.statusCode}: ${text}`);
      taken.push(performance.now() - at);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  const perSecond = (taken.length * 1_000) / (performance.now() - startedAt);
  await dispatcher.close();
  taken.sort((a, b) => a - b);
  const at = (share: number) => taken[Math.floor(taken.length * share)] ?? Number.NaN;
  return { perSecond, p50: at(0.5), p99: at(0.99) };
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

async function measure(urls: Record<"plain" | "gateway", string>, apiKey: string): Promise<Row[]> {
  for (const url of Object.values(urls)) await ask(url, apiKey, lanes.busy, warmMs);
  const found = {
    busy: { plain: [] as Round[], gateway: [] as Round[] },
    calm: { plain: [] as Round[], gateway: [] as Round[] },
  };
  for (let round = 0; round < rounds; round += 1)
    for (const load of ["busy", "calm"] as const)
      for (const side of ["plain", "gateway"] as const)
        found[load][side].push(await ask(urls[side], apiKey, lanes[load], roundMs));
  const of = (load: "busy" | "calm", side: "plain" | "gateway", what: keyof Round) =>
    median(found[load][side].map((one) => one[what]));
  const ratio = of("busy", "gateway", "perSecond") / of("busy", "plain", "perSecond");
  const against = `${of("busy", "plain", "perSecond").toFixed(0)} requests/s through a plain Fastify proxy`;
  const added = (what: "p50" | "p99"): Row => ({
    row: `gateway_added_${what}_ms`,
    value: of("calm", "gateway", what) - of("calm", "plain", what),
    against: `${of("calm", "plain", what).toFixed(2)} ms through the plain proxy, ${lanes.calm} at a time`,
    target: null,
    met: null,
  });
  return [
    { row: "gateway_vs_proxy", value: ratio, against, target: "≥ 0.7", met: ratio >= 0.7 },
    added("p50"),
    added("p99"),
  ];
}

const dir = await mkdtemp(join(tmpdir(), "drawdown-bench-"));
const stack = await openStack(dir);
try {
  const rows = await measure(stack.urls, stack.apiKey);
  const machine = `${cpus().length} × ${cpus()[0]?.model}, Node ${process.versions.node}, Redis with appendfsync always`;
  if (process.argv.includes("--json")) console.log(JSON.stringify({ machine, rows }, null, 2));
  else {
    console.log(machine);
    for (const { row, value, against, target, met } of rows)
      console.log(
        [
          row.padEnd(22),
          value.toFixed(2).padStart(8),
          target ?? "",
          met === null ? "" : met ? "met" : "missed",
          against,
        ].join("  "),
      );
  }
  process.exitCode = rows.some(({ met }) => met === false) ? 1 : 0;
} finally {
  for (const child of children) child.kill("SIGTERM");
  const alive = [...children].filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
  await Promise.all(alive.map((child) => once(child, "exit")));
  await stack.stop();
  await rm(dir, { recursive: true, force: true });
}
