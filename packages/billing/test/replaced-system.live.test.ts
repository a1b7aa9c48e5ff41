// What the replaced system got wrong, one test per item of the list in docs/invariants.md.
import { waitFor } from "@drawdown/local-stack";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  type AccountRef,
  charge,
  chargeMany,
  parseUnits,
  peekBalance,
  readBalance,
  shardOf,
  streamKey,
} from "../src/index.ts";
import { aCharge, chainProblems, openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

const keyOf = (account: AccountRef) =>
  `balance:{${streamKey(shardOf(account.id, 16))}}:${account.type}:${account.ownerId}`;
const rows = async () => (await stage.query("SELECT 1 FROM data.usage_log WHERE settled_at IS NOT NULL")).length;

test("Section 6: a top-up never overwrites deductions that are still in flight", async () => {
  const account = await stage.account("10");
  await charge(stage.billing, aCharge(account, parseUnits("4")));
  const listener = stage.listener();
  await stage.query("UPDATE data.account_balance SET balance = balance + 100 WHERE id = $1", [account.id]);
  await waitFor(async () => (await peekBalance(stage.billing, account))?.creditsVersion === 2n, {
    timeoutMs: 5_000,
    what: "the top-up",
  });
  await listener.stop();
  expect((await readBalance(stage.billing, account))?.balanceNanos).toBe(parseUnits("106"));
});

test("Section 6: an account in Redis has no time to live, before and after its first charge", async () => {
  const account = await stage.account("10");
  await readBalance(stage.billing, account);
  expect(await stage.billing.redis.pttl(keyOf(account))).toBe(-1);
  await charge(stage.billing, aCharge(account, 1n));
  expect(await stage.billing.redis.pttl(keyOf(account))).toBe(-1);
});

test("Section 6: a process that dies right after the deduction has its stream entry written", async () => {
  const account = await stage.account("10");
  await readBalance(stage.billing, account);
  const dying = await stage.another({
    observe: (point) => {
      if (point === "charge.answered") throw new Error("the process is gone");
    },
  });
  await expect(charge(dying, aCharge(account, parseUnits("1")))).rejects.toThrow();
  const worker = stage.worker();
  await stage.atRest();
  await worker.stop();
  expect(await rows()).toBe(1);
  expect(await chainProblems(stage, account)).toEqual([]);
});

test("Section 6: no entry is dropped for the stream's length: 12,000 unread entries all settle", async () => {
  const account = await stage.account("1000");
  for (let i = 0; i < 12; i++)
    await chargeMany(
      stage.billing,
      Array.from({ length: 1_000 }, () => aCharge(account, 1n)),
    );
  expect(await stage.billing.redis.xlen(streamKey(shardOf(account.id, 16)))).toBe(12_001);
  const worker = stage.worker();
  await waitFor(async () => (await rows()) === 12_000, { timeoutMs: 25_000, what: "12,000 settled rows" });
  await stage.atRest();
  await worker.stop();
  expect(await chainProblems(stage, account)).toEqual([]);
});

test("Section 6: a batch whose transaction fails is neither acked nor lost: it waits, and settles when it can", async () => {
  const account = await stage.account("10");
  await charge(stage.billing, aCharge(account, parseUnits("1")));
  await stage.query("ALTER TABLE data.usage_log RENAME COLUMN cost TO cost_gone");
  let waits = 0;
  const billing = await stage.another({
    observe: (point) => {
      if (point === "consume.waiting") waits++;
    },
  });
  const worker = stage.worker({ billing });
  await waitFor(() => waits >= 3, { timeoutMs: 10_000, what: "three attempts" });
  const [pending] = await stage.billing.redis.xpending(streamKey(shardOf(account.id, 16)), "billing_workers");
  expect(pending).toBe(2);
  await stage.query("ALTER TABLE data.usage_log RENAME COLUMN cost_gone TO cost");
  await stage.atRest();
  await worker.stop();
  expect(await rows()).toBe(1);
  expect(await stage.query("SELECT 1 FROM data.dead_letter")).toEqual([]);
});

test("Section 6: settling moves the account's balance", async () => {
  const account = await stage.account("10");
  await charge(stage.billing, aCharge(account, parseUnits("2.5")));
  const worker = stage.worker();
  await stage.atRest();
  await worker.stop();
  expect(
    await stage.query("SELECT balance, total_debits FROM data.account_balance WHERE id = $1", [account.id]),
  ).toEqual([{ balance: "7.500000000", total_debits: "2.500000000" }]);
});

test("Section 6: an invalid message is kept with its bytes before it is acked", async () => {
  const account = await stage.account("10");
  const key = streamKey(shardOf(account.id, 16));
  await stage.billing.redis.xadd(key, "*", "hello", "world");
  const worker = stage.worker();
  await stage.atRest();
  await worker.stop();
  const [letter] = await stage.query<{ fields: unknown; error_class: string }>(
    "SELECT fields, error_class FROM data.dead_letter",
  );
  expect(letter).toEqual({ fields: { hello: "world" }, error_class: "missing_field" });
});

test("Section 6: shards are read at once: one entry on any shard settles within a second, whatever the others' silence", async () => {
  const worker = stage.worker({ settings: { blockTimeMs: 5_000 } });
  const accounts = await Promise.all(Array.from({ length: 8 }, () => stage.account("10")));
  for (const account of accounts) {
    const before = await rows();
    await charge(stage.billing, aCharge(account, 1n));
    await waitFor(async () => (await rows()) === before + 1, {
      timeoutMs: 1_000,
      what: "the deduction settled",
      intervalMs: 5,
    });
  }
  await worker.stop();
});

test("Section 6: balance_before is the deduction's own, not a cache's: 200 charges at once leave one unbroken line", async () => {
  const account = await stage.account("10");
  const gateways = [stage.billing, await stage.another(), await stage.another()];
  await Promise.all(
    Array.from({ length: 200 }, (_, i) => charge(gateways[i % 3] ?? stage.billing, aCharge(account, 1_000n))),
  );
  const worker = stage.worker();
  await stage.atRest();
  await worker.stop();
  const [broken] = await stage.query(
    `SELECT count(*) AS n FROM (SELECT balance_before, lag(balance_after) OVER (ORDER BY account_seq) AS previous FROM data.usage_log) l
      WHERE previous IS NOT NULL AND previous <> balance_before`,
  );
  expect(broken).toEqual({ n: "0" });
});

test("Section 6: 0.1 and 0.2 make 0.3, from the request to the books", async () => {
  const account = await stage.account("0.3");
  await charge(stage.billing, aCharge(account, parseUnits("0.1")));
  expect(await charge(stage.billing, aCharge(account, parseUnits("0.2")))).toMatchObject({
    outcome: "charged",
    balanceAfterNanos: 0n,
  });
});

test("Section 6: a free call is charged and recorded", async () => {
  const account = await stage.account("0");
  expect(await charge(stage.billing, aCharge(account, 0n))).toMatchObject({ outcome: "charged", costNanos: 0n });
  const worker = stage.worker();
  await stage.atRest();
  await worker.stop();
  expect(await stage.query("SELECT cost FROM data.usage_log")).toEqual([{ cost: "0.000000000" }]);
});
