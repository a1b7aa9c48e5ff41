/**
 * The demo: data that show every page of the console at work, made by the functions that gateways, workers and operators call. Run again
 * it adds nothing that is there. It settles what it appends itself, beside whatever workers run.
 */
import { type Act, type Billing, consume, GROUP, streamKey } from "@drawdown/billing";
import { chargeNow, chargePast, holdSome, refuseOne } from "./charges.ts";
import { makeCustomers } from "./customers.ts";
import { dieWith, failToSettle, loseSight, until } from "./troubles.ts";

const consumer = "demo";
const act: Act = { actor: "demo", role: "admin", reason: "demo" };

export type DemoFigures = Record<"accounts" | "deductions" | "dead_letters" | "operations" | "open_alerts", number>;

export async function makeDemo(billing: Billing): Promise<DemoFigures> {
  await makeCustomers(billing, act);
  await settling(billing, async () => {
    await chargePast(billing);
    await until("the past to settle", async () => {
      const sql =
        "SELECT count(*) >= 240 AS settled FROM data.usage_log WHERE deduction_id LIKE 'ded_demo_past_%' AND settled_at IS NOT NULL";
      return (await billing.query<{ settled: boolean }>(sql))[0]?.settled === true;
    });
    await chargeNow(billing);
    await refuseOne(billing);
    await holdSome(billing);
    await failToSettle(billing, act);
  });
  await loseSight(billing);
  await dieWith(billing, "ded_demo_died");
  return await count(billing);
}

/** Works with a consumer beside, so that the demo needs no worker; the consumer is gone when it is done. */
async function settling(billing: Billing, work: () => Promise<void>): Promise<void> {
  const stop = new AbortController();
  const consuming = consume({ billing, consumer, signal: stop.signal });
  try {
    await work();
  } finally {
    stop.abort();
    await consuming;
  }
  for (let shard = 0; shard < billing.numShards; shard++) {
    const left = await billing.redis.xpending(streamKey(shard), GROUP, "-", "+", 1, consumer);
    if (left.length === 0) await billing.redis.xgroup("DELCONSUMER", streamKey(shard), GROUP, consumer);
  }
}

async function count(billing: Billing): Promise<DemoFigures> {
  const [row] = await billing.query<DemoFigures>(
    `SELECT (SELECT count(*)::int FROM data.account_balance) AS accounts, (SELECT count(*)::int FROM data.usage_log) AS deductions,
            (SELECT count(*)::int FROM data.dead_letter WHERE state = 'open') AS dead_letters,
            (SELECT count(*)::int FROM data.operator_action) AS operations,
            (SELECT count(*)::int FROM data.alert WHERE resolved_at IS NULL) AS open_alerts`,
  );
  return row ?? { accounts: 0, deductions: 0, dead_letters: 0, operations: 0, open_alerts: 0 };
}
