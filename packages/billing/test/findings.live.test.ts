import { openAlert, readClock } from "@drawdown/db";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type AccountRef,
  alertChains,
  alertDrift,
  alertUnaccounted,
  charge,
  endDoubts,
  proveAll,
  reconcile,
  shardOf,
  streamKey,
  verifyChain,
} from "../src/index.ts";
import { aCharge, openStage, type Stage } from "./stage.ts";

const UNIT = 1_000_000_000n;
let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

const open = async () =>
  await stage.query<{ kind: string; key: string; level: string }>(
    "SELECT kind, key, level FROM data.alert WHERE resolved_at IS NULL ORDER BY kind, key",
  );
const prove = async () => {
  const begun = await readClock(stage.db);
  await alertUnaccounted(stage.billing, await proveAll(stage.billing), begun);
};
const reconcileAll = async () => {
  const begun = await readClock(stage.db);
  await alertDrift(stage.billing, await reconcile(stage.billing), begun);
};
const verifyAll = async () => {
  const begun = await readClock(stage.db);
  await alertChains(stage.billing, await verifyChain(stage.billing), begun);
};
const settledAccount = async (): Promise<AccountRef> => {
  const account = await stage.account("100");
  for (let i = 0; i < 3; i++) await charge(stage.billing, aCharge(account, UNIT));
  const worker = stage.worker();
  await stage.atRest();
  await worker.stop();
  return account;
};
const keyOf = (account: AccountRef) =>
  `balance:{${streamKey(shardOf(account.id, 16))}}:${account.type}:${account.ownerId}`;

describe("what the passes over the books find opens alerts, and what they no longer find resolves them", () => {
  test("nothing wrong: none of the passes raises anything", async () => {
    await prove();
    await reconcileAll();
    await verifyAll();
    await settledAccount();
    await prove();
    await reconcileAll();
    await verifyAll();
    expect(await stage.query("SELECT 1 FROM data.alert")).toEqual([]);
  });

  test("drift: one nano added by hand, an alert of that account alone, until it is taken back", async () => {
    const account = await settledAccount();
    await settledAccount();
    await stage.billing.redis.hincrby(keyOf(account), "b", 1);
    await reconcileAll();
    await reconcileAll();
    expect(await open()).toEqual([{ kind: "drift", key: account.id, level: "critical" }]);
    await stage.billing.redis.hincrby(keyOf(account), "b", -1);
    await reconcileAll();
    expect(await open()).toEqual([]);
  });

  test("unaccounted: an entry that is acked and not in the books, until it is settled", async () => {
    const account = await settledAccount();
    await charge(stage.billing, aCharge(account, UNIT));
    const key = streamKey(shardOf(account.id, 16));
    const { redis } = stage.billing;
    await redis.xreadgroup("GROUP", "billing_workers", "older", "COUNT", 10, "STREAMS", key, ">");
    const [last] = await redis.xrevrange(key, "+", "-", "COUNT", 1);
    await redis.xack(key, "billing_workers", last?.[0] ?? "");
    await prove();
    expect(await open()).toEqual([{ kind: "unaccounted", key: "", level: "warning" }]);
    await reconcileAll(); // the same thing has no second alert
    expect(await open()).toEqual([{ kind: "unaccounted", key: "", level: "warning" }]);
    await redis.xgroup("SETID", key, "billing_workers", "0");
    const worker = stage.worker();
    await stage.atRest();
    await worker.stop();
    await prove();
    expect(await open()).toEqual([]);
  });

  test("broken_chain: a link that is gone, until it is back", async () => {
    const account = await settledAccount();
    await stage.query(
      `CREATE TABLE taken AS SELECT * FROM data.account_balance_audit WHERE account_id = '${account.id}' AND account_seq = 2`,
    );
    await stage.query("DELETE FROM data.account_balance_audit WHERE id IN (SELECT id FROM taken)");
    await verifyAll();
    expect(await open()).toEqual([{ kind: "broken_chain", key: account.id, level: "critical" }]);
    await stage.query("INSERT INTO data.account_balance_audit SELECT * FROM taken");
    await verifyAll();
    expect(await open()).toEqual([]);
  });

  test("lost_epoch and postgres_went_back end when everything was reconciled and verified after them, and nothing was found", async () => {
    const account = await settledAccount();
    const alert = { level: "critical", message: "m", details: {} } as const;
    await openAlert(stage.db, { ...alert, kind: "lost_epoch", key: "r:2" });
    await openAlert(stage.db, { ...alert, kind: "postgres_went_back", key: account.id });
    const kinds = async () => (await open()).map(({ kind, key }) => (kind === "lost_epoch" ? `${kind} ${key}` : kind));
    const pass = async () => {
      const begun = await readClock(stage.db);
      const found = await reconcile(stage.billing);
      await alertDrift(stage.billing, found, begun);
      return () => endDoubts(stage.billing, found, begun);
    };
    await stage.billing.redis.hincrby(keyOf(account), "b", 1);
    await (await pass())();
    expect(await kinds()).toEqual(["drift", "lost_epoch r:2", "postgres_went_back"]);
    await stage.billing.redis.hincrby(keyOf(account), "b", -1);
    // A chain with a gap whose sums are right: nothing for a reconciliation to find.
    await stage.query(
      `CREATE TABLE taken AS SELECT * FROM data.account_balance_audit WHERE account_id = '${account.id}' AND account_seq = 2`,
    );
    await stage.query("DELETE FROM data.account_balance_audit WHERE id IN (SELECT id FROM taken)");
    expect(await reconcile(stage.billing)).toMatchObject({ ok: true });
    await (await pass())();
    expect(await kinds()).toEqual(["broken_chain", "lost_epoch r:2", "postgres_went_back"]);
    await stage.query("INSERT INTO data.account_balance_audit SELECT * FROM taken");
    const end = await pass();
    // What was opened since was not part of what was judged.
    await openAlert(stage.db, { ...alert, kind: "lost_epoch", key: "r:3" });
    await end();
    expect(await kinds()).toEqual(["lost_epoch r:3"]);
  });

  test("more than a hundred accounts: one alert each for a hundred, and one that counts the rest", async () => {
    const finding = { class: "unknown", ownerId: null, type: null, shard: 0, message: "m", figures: null } as const;
    const findings = Array.from({ length: 150 }, (_, i) => ({
      ...finding,
      accountId: `account ${i}`,
      entries: [],
      entryCount: 0,
    }));
    await alertDrift(stage.billing, { ok: false, accounts: 150, open: {}, findings, left: 7 }, new Date());
    const alerts = await open();
    expect(alerts).toHaveLength(101);
    const [rest] = await stage.query<{ message: string }>("SELECT message FROM data.alert WHERE key = ''");
    expect(rest?.message).toBe("There are 57 more.");
    await reconcileAll();
    expect(await open()).toEqual([]);
  });
});
