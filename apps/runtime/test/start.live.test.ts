import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, portIsFree, waitFor } from "@drawdown/local-stack";
import { afterEach, beforeEach, expect, test } from "vitest";

// `npm start`, as its launcher runs it, in a folder of its own. What it leaves behind is found by a mark in the
// environment of its processes and by the folder in which the servers work.

const root = join(import.meta.dirname, "../../..");
const startMs = 120_000;

type Started = { child: ChildProcess; lines: string[]; ended: Promise<{ code: number | null; output: string }> };

let dir: string;
let ports: { gateway: number; console: number };
const children: ChildProcess[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "drawdown-start-"));
  ports = { gateway: await freePort(), console: await freePort() };
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGTERM");
  await waitFor(() => ours().length === 0, { timeoutMs: 30_000, what: "all processes to end" });
  await rm(dir, { recursive: true, force: true });
});

function start(script = "apps/runtime/src/start.ts"): Started {
  const child = spawn(process.execPath, [script, "--dir", dir], {
    cwd: root,
    // A group of its own, as a terminal gives it.
    detached: true,
    env: {
      ...process.env,
      GATEWAY_PORT: String(ports.gateway),
      CONSOLE_PORT: String(ports.console),
      START_TEST: dir,
      DATABASE_URL: "",
      REDIS_URL: "",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  let output = "";
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      lines.splice(0, lines.length, ...output.split("\n"));
    });
  }
  const ended = once(child, "close").then(([code]) => ({ code: code as number | null, output }));
  return { child, lines, ended };
}

/** Resolves to the last line once it is there: the `curl` to paste. */
async function whenServing({ child, lines, ended }: Started): Promise<string> {
  const ready = waitFor(() => lines.find((line) => line.startsWith("curl ")), {
    timeoutMs: startMs,
    what: "the curl line",
  });
  const first = await Promise.race([ready, ended]);
  if (typeof first === "string") return first;
  throw new Error(`The start (process ${child.pid}) ended with ${first.code}:\n${first.output}`);
}

function interruptGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  process.kill(-(child.pid ?? 0), signal);
}

const canLookAround = existsSync("/proc");

/** The processes of this test's starts that run, without zombies; none where the system does not show them. */
function ours(): number[] {
  if (!canLookAround) return [];
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        if (pid === process.pid) return false;
        const marked = readFileSync(`/proc/${pid}/environ`, "utf8").includes(`START_TEST=${dir}\0`);
        return marked || readlinkSync(`/proc/${pid}/cwd`).startsWith(dir);
      } catch {
        return false;
      }
    });
}

async function expectNothingLeft(): Promise<void> {
  expect(ours()).toEqual([]);
  expect(await portIsFree(ports.gateway)).toBe(true);
  expect(await portIsFree(ports.console)).toBe(true);
  expect(existsSync(join(dir, "stack.json"))).toBe(false);
  expect(existsSync(join(dir, "claim.json"))).toBe(false);
}

/** Runs what the printed `curl` says. */
async function askAs(curl: string): Promise<Response> {
  const [, url = "", authorization = "", body = ""] =
    /^curl (\S+) -H "Authorization: (Bearer \S+)" .* -d '(.*)'$/.exec(curl) ?? [];
  return fetch(url, { method: "POST", headers: { authorization, "content-type": "application/json" }, body });
}

async function balanceAs(curl: string): Promise<string> {
  const authorization = /Bearer [^"]+/.exec(curl)?.[0] ?? "";
  const answer = await fetch(`http://127.0.0.1:${ports.gateway}/v1/balance`, { headers: { authorization } });
  return ((await answer.json()) as { balance: string }).balance;
}

test("npm start serves what it prints, Ctrl-C leaves nothing behind, and the next starts find the data, also after SIGKILL", async () => {
  const first = start();
  const curl = await whenServing(first);
  expect(curl).toMatch(/-H "Authorization: Bearer vk_\w+\.\S+"/);
  expect((await askAs(curl)).status).toBe(200);
  const balance = await balanceAs(curl);
  expect(Number(balance)).toBeLessThan(1_000);
  expect((await fetch(`http://127.0.0.1:${ports.console}`)).status).toBe(200);
  interruptGroup(first.child, "SIGINT");
  interruptGroup(first.child, "SIGINT");
  expect((await first.ended).code).toBe(0);
  await expectNothingLeft();

  const second = start();
  const curlAgain = await whenServing(second);
  expect(await balanceAs(curlAgain)).toBe(balance);
  expect((await askAs(curl)).status).toBe(401);
  second.child.kill("SIGKILL");
  await second.ended;
  expect(ours().length > 0).toBe(canLookAround);

  const third = start();
  expect(await balanceAs(await whenServing(third))).toBe(balance);
  third.child.kill("SIGTERM");
  expect((await third.ended).code).toBe(0);
  await expectNothingLeft();
}, 240_000);

test("a taken port is a message that names the port and the setting, and nothing runs", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(ports.gateway, "127.0.0.1", resolve));
  const { ended } = start();
  const { code, output } = await ended;
  server.close();
  expect(code).toBe(1);
  expect(output).toContain(`Port ${ports.gateway} is taken`);
  expect(output).toContain("GATEWAY_PORT");
  expect(output).not.toContain("    at ");
  await waitFor(() => portIsFree(ports.gateway), { timeoutMs: 5_000, what: "the port" });
  await expectNothingLeft();
});

test("Ctrl-C in the middle of the start leaves nothing behind", async () => {
  const started = start();
  await waitFor(() => started.lines.some((line) => line.includes("migrating")), {
    timeoutMs: startMs,
    what: "the migrations to begin",
  });
  interruptGroup(started.child, "SIGINT");
  expect((await started.ended).code).toBe(130);
  await expectNothingLeft();
}, 150_000);

test("when a process ends by itself, everything stops and the message names it", async () => {
  const started = start();
  await whenServing(started);
  const stack = JSON.parse(readFileSync(join(dir, "stack.json"), "utf8")) as { pids: Record<string, number> };
  process.kill(stack.pids["worker"] ?? 0, "SIGKILL");
  const { code, output } = await started.ended;
  expect(code).toBe(1);
  expect(output).toContain("The worker ended (SIGKILL).");
  await expectNothingLeft();
}, 150_000);

test("when its launcher is killed, everything stops", async () => {
  const started = start("scripts/start.mjs");
  await whenServing(started);
  started.child.kill("SIGKILL");
  await waitFor(() => ours().length === 0, { timeoutMs: 30_000, what: "all processes to end" });
  await expectNothingLeft();
}, 150_000);
