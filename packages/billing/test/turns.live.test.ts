// What shares a script call, and what waits for what.
import { waitFor } from "@drawdown/local-stack";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type AccountRef,
  type ChargeOutcome,
  charge,
  openHold,
  peekBalance,
  readBalance,
  shardOf,
  streamKey,
} from "../src/index.ts";
import { holdsDueKey } from "../src/keys.ts";
import { aCharge, accountsOfEachShard, openStage, type Stage } from "./stage.ts";

const UNIT = 1_000_000_000n;

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

const shard = ({ id }: AccountRef) => shardOf(id, 16);
const where = async (fits: (account: AccountRef) => boolean): Promise<AccountRef> => {
  for (;;) {
    const account = await stage.account("10");
    if (fits(account)) return account;
  }
};
/** Two loaded accounts, in different shards. */
const twoShards = async (): Promise<[AccountRef, AccountRef]> => {
  const one = await stage.account("10");
  const other = await where((account) => shard(account) !== shard(one));
  for (const account of [one, other]) await readBalance(stage.billing, account);
  return [one, other];
};
const sameShard = (as: AccountRef) => where((account) => shard(account) === shard(as));
const ofEachShard = async (): Promise<AccountRef[]> => {
  const accounts = await accountsOfEachShard(stage, "10");
  for (const account of accounts) await readBalance(stage.billing, account);
  return accounts;
};
const scriptCalls = async () =>
  Number(/cmdstat_evalsha:calls=(\d+)/.exec(await stage.billing.redis.info("commandstats"))?.[1] ?? 0);
const aHold = (account: AccountRef, amountNanos: bigint) => ({ ...aCharge(account, 0n), amountNanos, ttlMs: 30_000 });
const balanceOf = async (account: AccountRef) => (await peekBalance(stage.billing, account))?.balanceNanos;

test("charges of one turn for accounts of every shard are one script call, each drawn from its account and written to its stream", async () => {
  const accounts = await ofEachShard();
  await Promise.all(accounts.map((account) => charge(stage.billing, aCharge(account, UNIT))));
  const before = await scriptCalls();
  const outcomes = await Promise.all(
    accounts.flatMap((account, i) => [
      charge(stage.billing, aCharge(account, BigInt(i + 1))),
      charge(stage.billing, aCharge(account, 20n * UNIT)),
    ]),
  );
  expect((await scriptCalls()) - before).toBe(1);
  expect(outcomes.map(({ outcome }) => outcome)).toEqual(accounts.flatMap(() => ["charged", "refused"]));
  for (const [i, account] of accounts.entries()) {
    expect(await balanceOf(account)).toBe(9n * UNIT - BigInt(i + 1));
    const written = await stage.billing.redis.xrange(streamKey(shard(account)), "-", "+");
    expect(written.map(([, fields]) => fields[fields.indexOf("account_id") + 1])).toEqual([
      account.id,
      account.id,
      account.id,
    ]); // its opening, and two charges
  }
});

test("holds of one turn for accounts of every shard are one script call, each set aside in its account and due in its shard", async () => {
  const accounts = await ofEachShard();
  const before = await scriptCalls();
  const outcomes = await Promise.all(
    accounts.map((account, i) => openHold(stage.billing, aHold(account, BigInt(i + 1)))),
  );
  expect((await scriptCalls()) - before).toBe(1);
  expect(outcomes.map(({ outcome }) => outcome)).toEqual(accounts.map(() => "held"));
  for (const [i, account] of accounts.entries()) {
    expect((await peekBalance(stage.billing, account))?.heldNanos).toBe(BigInt(i + 1));
    expect(await stage.billing.redis.zrange(holdsDueKey(shard(account)), 0, -1)).toEqual([
      `user:${account.ownerId}:${account.id}`,
    ]);
  }
});

test("a shard that is shut keeps no other waiting: its charges are drawn once, when it is open again", async () => {
  const [shut, open] = await twoShards();
  const another = await stage.another();
  let answered = 0;
  const charging: Promise<ChargeOutcome>[] = [];
  await another.fence.shut(
    [shard(shut)],
    async () => new Map([[shard(shut), []]]),
    async () => {
      for (let i = 0; i < 5; i++) {
        charging.push(charge(stage.billing, aCharge(shut, UNIT)).finally(() => (answered += 1)));
        expect(await charge(stage.billing, aCharge(open, UNIT))).toMatchObject({ outcome: "charged" });
        await waitFor(() => stage.billing.fence.knownToken(shard(shut)) === undefined, {
          timeoutMs: 10_000,
          what: "the shut shard's token is dropped",
        });
      }
      expect(answered).toBe(0);
    },
  );
  const outcomes = await Promise.all(charging);
  expect(outcomes.map(({ outcome }) => outcome)).toEqual(Array(5).fill("charged"));
  expect([await balanceOf(shut), await balanceOf(open)]).toEqual([5n * UNIT, 5n * UNIT]);
});

test("an account that is read from the books keeps no other waiting, of its shard or another", async () => {
  const [one, other] = await twoShards();
  const cold = await sameShard(one);
  const client = await stage.db.$client.connect();
  try {
    await client.query("BEGIN; LOCK TABLE data.account_balance");
    let answered = false;
    const charging = charge(stage.billing, aCharge(cold, UNIT)).finally(() => (answered = true));
    const charged = await Promise.all(
      [one, other, one].map((account) => charge(stage.billing, aCharge(account, UNIT))),
    );
    expect(charged.map(({ outcome }) => outcome)).toEqual(["charged", "charged", "charged"]);
    expect(await charge(stage.billing, aCharge(one, UNIT))).toMatchObject({ outcome: "charged" });
    expect(answered).toBe(false);
    await client.query("COMMIT");
    expect(await charging).toMatchObject({ outcome: "charged", accountSeq: 2n });
  } finally {
    client.release(true);
  }
});
