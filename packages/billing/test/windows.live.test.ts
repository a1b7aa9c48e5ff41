import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { waitFor } from "@drawdown/local-stack";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type Billing,
  charge,
  closeBilling,
  type ObservePoint,
  readBalance,
  readStats,
  reconcile,
  verifyChain,
} from "../src/index.ts";
import { observePoints } from "../src/observe.ts";
import { play, type Role } from "./dying-roles.ts";
import { chainProblems, openStage, type Stage } from "./stage.ts";
import { Scene, scenes } from "./windows-scenes.ts";

const UNIT = 1_000_000_000n;
const dyingFile = fileURLToPath(new URL("./dying-process.ts", import.meta.url));

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

class Crash extends Error {}

/** A listener that meets a failure right after it connected connects again: it lives, and is told to stop. */
const survived: readonly ObservePoint[] = ["credit.listening"];

async function dieByException(point: ObservePoint, role: Role): Promise<void> {
  const stop = new AbortController();
  let died = false;
  const observe = (seen: ObservePoint) => {
    if (seen !== point || died) return;
    died = true;
    if (survived.includes(point)) setImmediate(() => stop.abort());
    throw new Crash(point);
  };
  const life = async () => {
    const billing = await stage.another({ observe });
    try {
      await play(role, billing, stage.database.url, stop.signal);
    } finally {
      await closeBilling(billing);
    }
  };
  if (survived.includes(point)) await life();
  else await expect(life()).rejects.toThrow();
  expect(died).toBe(true);
}

async function dieBySignal(point: ObservePoint, role: Role): Promise<void> {
  const args = [dyingFile, stage.database.url, stage.redis.url, point, JSON.stringify(role)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
  const [, signal] = await once(child, "exit");
  expect(signal).toBe("SIGKILL");
}

async function untilAtRest(billing: Billing): Promise<void> {
  await waitFor(
    async () => {
      const { pending, lag } = (await readStats(billing)).totals;
      const waiting = await stage.query(
        "SELECT 1 FROM data.account_balance_audit WHERE applied_at IS NULL AND deduction_id IS NULL",
      );
      return pending === 0 && lag === 0 && waiting.length === 0;
    },
    { timeoutMs: 15_000, what: "everything settled and applied" },
  );
}

/** The next processes start, every client asks again: then each charge is in the books once and everything agrees. */
async function expectInOrder(scene: Scene, billing: Billing): Promise<void> {
  const { account, requests } = scene;
  await scene.heal(billing);
  for (const request of requests) expect(["charged", "repeated"]).toContain((await charge(billing, request)).outcome);
  const settings = { retryDelayMs: 10, claimIdleMs: 200, claimEveryMs: 50 };
  const running = [stage.worker({ billing, consumer: "worker-2", settings }), stage.listener({ billing })];
  await untilAtRest(billing);
  await Promise.all(running.map((one) => one.stop()));

  const left = scene.creditedNanos - BigInt(requests.length) * UNIT;
  expect((await readBalance(billing, account))?.balanceNanos).toBe(left);
  const booked = await stage.query("SELECT request_id FROM data.usage_log WHERE settled_at IS NOT NULL");
  const rows = [...booked, ...(await scene.exported())];
  expect(new Set(rows.map((row) => row.request_id))).toEqual(new Set(requests.map(({ requestId }) => requestId)));
  expect(rows).toHaveLength(requests.length);
  expect(await stage.query("SELECT id FROM data.dead_letter")).toHaveLength(scene.letters);
  expect(await chainProblems({ ...stage, billing }, account)).toEqual([]);
  expect(await verifyChain(billing)).toMatchObject({ ok: true, accounts: 1, broken: 0, unreadable: [] });
  expect(await reconcile(billing)).toMatchObject({ ok: true, findings: [] });
  expect((await stage.query("SELECT kind FROM data.alert")).map(({ kind }) => kind)).toEqual(scene.alerts);
  expect(await stage.query("SELECT id FROM data.operator_action WHERE finished_at IS NULL")).toEqual([]);
}

describe.each(observePoints)("a crash at %s", (point) => {
  test.each([
    ["by an exception", dieByException],
    ["by SIGKILL", dieBySignal],
  ] as const)(
    `Rule 5: %s leaves nothing lost, nothing twice, and the chain, the books and Redis in agreement`,
    async (_how, die) => {
      const scene = new Scene(stage, await stage.account("100"));
      await die(point, await scenes[point](scene));
      await expectInOrder(scene, await stage.another());
    },
  );
});

test("Rule 5: every named point is passed somewhere on the path, and the table of windows names each", async () => {
  const folder = new URL("../src/", import.meta.url);
  const sources = await Promise.all(
    (await readdir(folder))
      .filter((file) => file.endsWith(".ts"))
      .map((file) => readFile(new URL(file, folder), "utf8")),
  );
  const passed = sources.flatMap((text) => [...text.matchAll(/observe\("([^"]+)"/g)].map((match) => match[1]));
  expect(new Set(passed)).toEqual(new Set(observePoints));
  const document = await readFile(new URL("../../../docs/invariants.md", import.meta.url), "utf8");
  const [, table = ""] = document.split("## Windows");
  expect(observePoints.filter((point) => !table.includes(`\`${point}\``))).toEqual([]);
});
