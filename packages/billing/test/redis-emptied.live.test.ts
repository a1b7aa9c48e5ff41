// Redis loses its memory while workers have entries in hand: read from it, not yet in the books. What they settle after that must not
// be money that an account, loaded again meanwhile, may spend a second time.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { waitFor } from "@drawdown/local-stack";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type AccountRef,
  charge,
  chargeMany,
  consume,
  formatUnits,
  parseUnits,
  peekBalance,
  readBalance,
  reconcile,
  shardOf,
  streamKey,
  verifyChain,
} from "../src/index.ts";
import { epochKey } from "../src/keys.ts";
import { settle } from "../src/settle.ts";
import { decodeEntry } from "../src/stream.ts";
import { ownProcess, Storm } from "./emptied-storm.ts";
import { aCharge, chainProblems, openStage, type Stage } from "./stage.ts";

const UNIT = 1_000_000_000n;

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

const inBooks = async (account: AccountRef) =>
  (await stage.query("SELECT balance FROM data.account_balance WHERE id = $1", [account.id]))[0]?.balance;
const inRedis = async (account: AccountRef) =>
  formatUnits((await readBalance(stage.billing, account))?.balanceNanos ?? -1n);

/** An account of 100 of which 1 is spent, all of it settled. */
async function settledAccount(): Promise<AccountRef> {
  const account = await stage.account("100");
  await charge(stage.billing, aCharge(account, UNIT));
  const worker = stage.worker();
  await stage.atRest();
  await worker.stop();
  return account;
}

const lossAlerts = async () => await stage.query("SELECT id FROM data.alert WHERE kind = 'lost_epoch'");

async function untilInHand(account: AccountRef, entries: number): Promise<void> {
  const stream = streamKey(shardOf(account.id, 16));
  await waitFor(async () => Number((await stage.billing.redis.xpending(stream, "billing_workers"))[0]) === entries, {
    timeoutMs: 10_000,
    what: `${entries} entries in the worker's hand`,
  });
}

/** Every finding of reconcile and every account whose chain is broken, in words. */
async function findings(): Promise<string[]> {
  const { findings: found } = await reconcile(stage.billing);
  const { reports } = await verifyChain(stage.billing);
  return [
    ...found.map((finding) => `${finding.class} ${finding.accountId}`),
    ...reports.filter(({ ok }) => !ok).map((report) => `chain ${report.accountId}`),
  ];
}

describe("entries in hand", () => {
  test("Section 2: what a worker is settling while Redis is emptied is in the books before an account is loaded again, so that it is not spent twice", async () => {
    const account = await settledAccount();
    const blocker = await stage.db.$client.connect();
    await blocker.query("BEGIN");
    await blocker.query("SELECT FROM data.account_balance WHERE id = $1 FOR UPDATE", [account.id]);
    for (let i = 0; i < 3; i++) await charge(stage.billing, aCharge(account, 10n * UNIT));
    const worker = stage.worker();
    const waiting = async (what: string) =>
      (
        await stage.query(
          `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND ${what}`,
        )
      ).length > 0;
    await waitFor(() => waiting("query LIKE '%account_balance%FOR NO KEY UPDATE'"), {
      timeoutMs: 10_000,
      what: "the worker in its transaction",
    });

    const gateway = await stage.another();
    await stage.billing.redis.flushall();
    let answered = false;
    const spent = charge(gateway, aCharge(account, 60n * UNIT)).finally(() => (answered = true));
    await waitFor(async () => answered || (await waiting("wait_event = 'advisory'")), {
      timeoutMs: 10_000,
      what: "the gateway's charge to be answered or to wait",
    });
    // The loss is told at once, also while the shard waits.
    expect(await waitFor(lossAlerts, { timeoutMs: 5_000, what: "the alert" })).toHaveLength(1);
    await blocker.query("COMMIT");
    blocker.release();
    expect(await spent).toMatchObject({ outcome: "charged", balanceAfterNanos: 9n * UNIT });
    await stage.atRest();
    await worker.stop();
    expect(await inBooks(account)).toBe("9.000000000");
    expect(await chainProblems(stage, account)).toEqual([]);
    expect(await findings()).toEqual([]);
    expect(await lossAlerts()).toHaveLength(1);
  });

  test("Section 2: what is in hand when Redis is emptied comes into the books before its shard is opened, also when nobody knows in which epoch it was read", async () => {
    const account = await settledAccount();
    const shard = shardOf(account.id, 16);
    await charge(stage.billing, aCharge(account, 10n * UNIT));
    const [[entryId, fields] = ["", []]] = await stage.billing.redis.xrevrangeBuffer(
      streamKey(shard),
      "+",
      "-",
      "COUNT",
      1,
    );
    // As a worker marks it that has not heard of the shard's newest epoch yet.
    const inHand = decodeEntry({ shard, entryId: String(entryId), deliveryCount: 1, epoch: 0n }, fields);
    await stage.billing.redis.flushall();
    expect(await settle(stage.billing, [inHand], "worker-1")).toEqual([{ outcome: "settled" }]);
    expect(await stage.billing.redis.get(epochKey(shard))).toBeNull();
    expect(await inBooks(account)).toBe("89.000000000");

    const gateway = await stage.another();
    expect(await charge(gateway, aCharge(account, 60n * UNIT))).toMatchObject({ balanceAfterNanos: 29n * UNIT });
    const worker = stage.worker();
    await stage.atRest();
    await worker.stop();
    expect(await chainProblems(stage, account)).toEqual([]);
    expect(await findings()).toEqual([]);
    expect(await lossAlerts()).toHaveLength(1);
  });

  test("Section 2: what is settled after the account was loaded and spent again is taken from what Redis has, and reconcile and verify-chain name it alone", async () => {
    const [account, other] = [await settledAccount(), await settledAccount()];
    const { billing, takeAll, close } = await ownProcess(stage);
    const stop = new AbortController();
    const worker = consume({ billing, consumer: "worker-1", signal: stop.signal, settings: { blockTimeMs: 200 } });
    await charge(stage.billing, aCharge(other, UNIT));
    await stage.drained();
    const giveBack = await takeAll();
    await chargeMany(
      stage.billing,
      Array.from({ length: 3 }, () => aCharge(account, 10n * UNIT)),
    );
    await untilInHand(account, 3);

    await stage.billing.redis.flushall();
    // The books know nothing of the 30 in the worker's hand: the account comes back with 99.
    expect(await charge(stage.billing, aCharge(account, 20n * UNIT))).toMatchObject({ balanceAfterNanos: 79n * UNIT });
    expect(await charge(stage.billing, aCharge(other, UNIT))).toMatchObject({ outcome: "charged" });
    giveBack();
    await waitFor(async () => (await inBooks(account)) === "49.000000000", {
      timeoutMs: 15_000,
      what: "all of it settled",
    });
    await stage.atRest();
    expect(await inRedis(account)).toBe("49.000000000");
    expect((await charge(stage.billing, aCharge(account, 49n * UNIT + 1n))).outcome).toBe("refused");
    expect((await charge(stage.billing, aCharge(account, 49n * UNIT))).outcome).toBe("charged");
    await stage.atRest();
    stop.abort();
    await worker;
    expect(await inBooks(account)).toBe("0.000000000");
    expect(await inRedis(account)).toBe("0.000000000");
    expect(await findings()).toEqual([`chain ${account.id}`]);
    const [report] = (await verifyChain(stage.billing, { accountId: account.id })).reports;
    expect(new Set(report?.problems.map(({ kind }) => kind))).toEqual(new Set(["fork"]));
    expect(report?.repairs).toHaveLength(1);
    expect(await stage.query("SELECT key FROM data.alert WHERE kind = 'drift'")).toEqual([{ key: account.id }]);
    expect(await chainProblems(stage, other)).toEqual([]);
    await close();
  });

  test("Section 2: an entry in hand that cannot settle and becomes a dead letter after the account was loaded again counts against it", async () => {
    const account = await settledAccount();
    await stage.query("ALTER TABLE data.usage_log ADD CONSTRAINT no_seven CHECK (cost <> 7) NOT VALID");
    await charge(stage.billing, aCharge(account, 7n * UNIT));
    const worker = stage.worker({ settings: { retryDelayMs: 500 } });
    await untilInHand(account, 1);
    await stage.billing.redis.flushall();
    expect(await charge(stage.billing, aCharge(account, 20n * UNIT))).toMatchObject({ balanceAfterNanos: 79n * UNIT });
    await waitFor(async () => (await stage.query("SELECT 1 FROM data.dead_letter")).length === 1, {
      timeoutMs: 15_000,
      what: "the dead letter",
    });
    await stage.atRest();
    expect(await inRedis(account)).toBe("72.000000000");
    await stage.atRest();
    await worker.stop();
    expect(await inBooks(account)).toBe("79.000000000");
    expect((await reconcile(stage.billing)).findings).toEqual([]);
  });

  test.each([
    ["settle.written", "99.000000000"],
    ["settle.committed", "92.000000000"],
  ] as const)(
    "Section 2: a worker killed at %s of what Redis had lost leaves no account above its books",
    async (point, left) => {
      const account = await settledAccount();
      await stage.query("ALTER TABLE data.usage_log ADD CONSTRAINT no_seven CHECK (cost <> 7) NOT VALID");
      await charge(stage.billing, aCharge(account, 7n * UNIT));
      const file = fileURLToPath(new URL("./worker-process.ts", import.meta.url));
      const child = spawn(process.execPath, [file, stage.database.url, stage.redis.url, "worker-1", point], {
        stdio: ["ignore", "ignore", "inherit"],
      });
      const ended = once(child, "exit");
      await untilInHand(account, 1);
      await stage.billing.redis.flushall();
      expect(await inRedis(account)).toBe("99.000000000");
      await stage.query("ALTER TABLE data.usage_log DROP CONSTRAINT no_seven");
      const [, signal] = await ended;
      expect(signal).toBe("SIGKILL");
      expect(await inBooks(account)).toBe(left);
      expect(await inRedis(account)).toBe(left);
      expect((await charge(stage.billing, aCharge(account, UNIT))).outcome).toBe("charged");
      const worker = stage.worker();
      await stage.atRest();
      await worker.stop();
      expect(await inBooks(account)).toBe(
        formatUnits((await peekBalance(stage.billing, account))?.balanceNanos ?? -1n),
      );
      expect(await findings()).toEqual([]);
      expect(await lossAlerts()).toHaveLength(1);
    },
  );
});

describe("under load", () => {
  const losses = async (storm: Storm, how: "flushall" | "restart") => {
    const found: unknown[] = [];
    for (let loss = 1; loss <= 3; loss++) {
      await waitFor(() => storm.charged.size > 60 * loss, { timeoutMs: 20_000, what: "some charges" });
      await pause(storm.random() * 120); // the moment of the loss
      found.push(await storm.loseMemory(how));
    }
    return found;
  };
  const details = { from: expect.any(String), to: expect.any(String) };
  const alerts = Array.from({ length: 3 }, () =>
    expect.objectContaining({ level: "critical", details: expect.objectContaining(details) }),
  );

  test.each([
    [1, "flushall"],
    [2, "restart"],
    [3, "flushall"],
  ] as const)(
    "Section 2: seed %i, %s: whatever Redis forgets, nobody spends more than was credited",
    { timeout: 90_000 },
    async (seed, how) => {
      const storm = new Storm(stage, seed);
      await storm.start("1.5", false);
      expect(await losses(storm, how)).toEqual(alerts);
      await storm.spent();
      await storm.rest();
      expect(storm.tooHigh).toEqual([]);
      for (const account of storm.accounts) {
        const booked = await inBooks(account);
        expect(await inRedis(account)).toBe(booked);
        expect(parseUnits(booked ?? "-1")).toBeGreaterThanOrEqual(0n);
      }
      expect((await reconcile(stage.billing)).findings).toEqual([]);
    },
  );

  test.each([
    [4, "flushall"],
    [5, "restart"],
    [6, "flushall"],
  ] as const)(
    "Section 2: seed %i, %s: with workers that write late no account has more than its books at rest, and only forks are named",
    { timeout: 90_000 },
    async (seed, how) => {
      const storm = new Storm(stage, seed);
      await storm.start("12", true);
      expect(await losses(storm, how)).toEqual(alerts);
      await storm.rest();
      expect(storm.tooHigh).toEqual([]);
      for (const account of storm.accounts) expect(await inRedis(account)).toBe(await inBooks(account));
      expect((await reconcile(stage.billing)).findings).toEqual([]);
      // What is in neither store leaves no break.
      const problems = (await verifyChain(stage.billing)).reports.flatMap((report) => report.problems);
      expect(problems.filter(({ kind }) => kind !== "fork")).toEqual([]);
    },
  );
});
