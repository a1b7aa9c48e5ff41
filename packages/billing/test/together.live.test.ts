// Several workers as processes of their own on the same accounts at once.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { waitFor } from "@drawdown/local-stack";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type AccountRef, chargeMany, parseUnits, reconcile, verifyChain } from "../src/index.ts";
import { randomOf } from "./simulation-faults.ts";
import { aCharge, openStage, type Stage } from "./stage.ts";

const SECONDS = Number(process.env.TOGETHER_SECONDS ?? 10);
const WORKERS = 4;
const ACCOUNTS = 50;
const workerFile = fileURLToPath(new URL("./worker-process.ts", import.meta.url));

let stage: Stage;
const children: ChildProcess[] = [];
beforeEach(async () => {
  stage = await openStage({ appendfsync: "everysec" });
});
afterEach(async () => {
  await Promise.all(
    children.splice(0).map(async (child) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    }),
  );
  await stage.close();
});

async function startWorker(name: string): Promise<{ child: ChildProcess; said: () => string }> {
  const child = spawn(process.execPath, [workerFile, stage.database.url, stage.redis.url, name, "none"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  let text = "";
  child.stderr?.on("data", (bytes) => (text += bytes));
  await once(child.stdout ?? child, "data");
  return { child, said: () => text };
}

/** What Postgres counted in this database; sessions report as they go idle. */
async function deadlocks(): Promise<number> {
  const [row] = await stage.query<{ deadlocks: number }>(
    "SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()",
  );
  return row?.deadlocks ?? -1;
}

test(`Rule 11: ${WORKERS} workers settle ${ACCOUNTS} accounts in random orders for ${SECONDS} s beside top-ups: no deadlock, and the sums equal the rows`, {
  timeout: (SECONDS + 60) * 1_000,
}, async () => {
  const random = randomOf(11);
  const accounts = await Promise.all(Array.from({ length: ACCOUNTS }, () => stage.account("1000000")));
  const workers = await Promise.all(Array.from({ length: WORKERS }, (_, i) => startWorker(`worker-${i}`)));
  const listener = stage.listener();
  const pick = () => accounts[Math.floor(random() * accounts.length)] as AccountRef;
  const endMs = performance.now() + SECONDS * 1_000;
  let charged = 0;
  const lane = async () => {
    while (performance.now() < endMs) {
      const outcomes = await chargeMany(
        stage.billing,
        Array.from({ length: 100 }, () => aCharge(pick(), BigInt(Math.floor(random() * 1e6)))),
      );
      expect(outcomes.every(({ outcome }) => outcome === "charged")).toBe(true);
      charged += outcomes.length;
      await pause(30); // the pace of the load, not a wait for something
    }
  };
  // The business system tops several accounts up in one transaction, in the order of ids as it must.
  const topUp = async () => {
    while (performance.now() < endMs) {
      const ids = [pick(), pick(), pick()].map(({ id }) => id);
      await stage.query(
        `UPDATE data.account_balance SET balance = balance + 1
          WHERE id IN (SELECT id FROM data.account_balance WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE)`,
        [ids],
      );
    }
  };
  await Promise.all([lane(), topUp()]);
  await waitFor(
    async () => (await stage.query("SELECT 1 FROM data.usage_log OFFSET $1 LIMIT 1", [charged - 1])).length === 1,
    { timeoutMs: 40_000, what: `${charged} settled rows` },
  );
  await stage.atRest();
  await listener.stop();

  const used = await stage.query<{ consumer: string; rows: number }>(
    "SELECT consumer, count(*)::int AS rows FROM data.usage_log GROUP BY 1 ORDER BY 1",
  );
  console.log(`${charged} charges: ${used.map(({ consumer, rows }) => `${consumer} ${rows}`).join(", ")}`);
  expect(used).toHaveLength(WORKERS);
  for (const { child, said } of workers) {
    expect([child.exitCode, child.signalCode, said()]).toEqual([null, null, ""]);
    child.kill("SIGTERM");
    await once(child, "exit");
  }
  expect(await deadlocks()).toBe(0);
  const sums = await stage.query<{ id: string; total_debits: string; rows: string; balance: string; credits: string }>(
    `SELECT a.id, a.total_debits, a.balance, (SELECT coalesce(sum(cost), 0) FROM data.usage_log u WHERE u.account_id = a.id) AS rows,
            (SELECT sum(amount) FROM data.account_balance_audit c WHERE c.account_id = a.id AND c.deduction_id IS NULL) AS credits
       FROM data.account_balance a`,
  );
  for (const { id, total_debits: debits, rows, balance, credits } of sums) {
    expect(parseUnits(debits), id).toBe(parseUnits(rows));
    expect(parseUnits(balance), id).toBe(parseUnits(credits) - parseUnits(rows));
  }
  expect(await verifyChain(stage.billing)).toMatchObject({ ok: true, accounts: ACCOUNTS });
  expect(await reconcile(stage.billing)).toMatchObject({ ok: true, accounts: ACCOUNTS });
});
