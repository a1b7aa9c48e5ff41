import { randomUUID } from "node:crypto";
import { closeDb, connectDb } from "@drawdown/db";
import { waitFor } from "@drawdown/local-stack";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type AccountRef,
  alertUncaptured,
  applyCredit,
  captureHold,
  charge,
  closeBilling,
  extendHold,
  type HoldRef,
  listUncaptured,
  openBilling,
  openHold,
  peekBalance,
  readBalance,
  reconcile,
  shardOf,
  sweepHolds,
  verifyChain,
  voidHold,
} from "../src/index.ts";
import { aCharge, openStage, type Stage } from "./stage.ts";

const UNIT = 1_000_000_000n;

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

const aHold = (
  account: AccountRef,
  amountNanos: bigint,
  more: { requestId?: string; ttlMs?: number; digest?: string; served?: boolean } = {},
) => ({
  account,
  virtualKey: "vk_test",
  requestId: randomUUID(),
  digest: "d".repeat(64),
  amountNanos,
  ttlMs: 30_000,
  provider: "openai",
  model: "gpt-4o",
  ...more,
});
const drawn = (costNanos: bigint) => {
  const { account: _, requestId: __, digest: ___, ...rest } = aCharge({} as AccountRef, costNanos);
  return rest;
};
const tagOf = ({ id }: AccountRef) => `{stream:deductions:${shardOf(id, 16)}}`;
const keyOf = (account: AccountRef) => `balance:${tagOf(account)}:${account.type}:${account.ownerId}`;
const figures = async (account: AccountRef) => {
  const balance = await peekBalance(stage.billing, account);
  return [balance?.balanceNanos, balance?.heldNanos, balance?.availableNanos];
};
/** Opens a hold that must succeed. */
async function held(account: AccountRef, amountNanos: bigint, more: Parameters<typeof aHold>[2] = {}) {
  const request = aHold(account, amountNanos, more);
  const outcome = await openHold(stage.billing, request);
  if (outcome.outcome !== "held") throw new Error(`not held: ${outcome.outcome}`);
  const ref: HoldRef = { account, holdId: outcome.holdId };
  return {
    ...outcome,
    ref,
    own: { ...ref, request: { requestId: request.requestId, digest: request.digest } },
    request,
  };
}
/** Until Redis' clock is past the expiry. */
async function expired(expiresAt: Date) {
  await waitFor(
    async () => {
      const [seconds, micros] = await stage.billing.redis.time();
      return Number(seconds) * 1_000 + Number(micros) / 1_000 > expiresAt.getTime() + 1;
    },
    { timeoutMs: 10_000, what: "a hold to expire" },
  );
}

describe("a hold", () => {
  test("4: lowers what is available and no balance; its capture draws the cost and gives the rest back, below, at and above the hold", async () => {
    const account = await stage.account("10");
    for (const [amount, cost, after] of [
      [4n, 3n, 7n],
      [4n, 4n, 3n],
      [3n, 5n, -2n],
    ] as const) {
      const before = (await readBalance(stage.billing, account))?.balanceNanos ?? 0n;
      const hold = await held(account, amount * UNIT);
      expect(hold.availableNanos).toBe(before - amount * UNIT);
      expect(await figures(account)).toEqual([before, amount * UNIT, before - amount * UNIT]);
      expect(await captureHold(stage.billing, hold.ref, drawn(cost * UNIT))).toMatchObject({
        outcome: "charged",
        deductionId: hold.holdId,
        costNanos: cost * UNIT,
        balanceBeforeNanos: before,
        balanceAfterNanos: after * UNIT,
      });
      expect(await figures(account)).toEqual([after * UNIT, 0n, after * UNIT]);
    }
    // Overdue: the next request is refused.
    expect(await openHold(stage.billing, aHold(account, 1n))).toMatchObject({ outcome: "refused" });
    expect(await charge(stage.billing, aCharge(account, 1n))).toMatchObject({ outcome: "refused" });
    const [worker, listener] = [stage.worker(), stage.listener()];
    await stage.query("SELECT data.post_credit($1, 3, 'top_up', NULL, 'paid', 'test')", [account.id]);
    await stage.atRest();
    await Promise.all([worker.stop(), listener.stop()]);
    expect(await figures(account)).toEqual([UNIT, 0n, UNIT]);
    expect(await verifyChain(stage.billing, { accountId: account.id })).toMatchObject({ ok: true });
    expect(await reconcile(stage.billing, { account })).toMatchObject({ ok: true });
  });

  test("2: 50 parallel holds against a balance for 10 take 10, and what was captured above them is overdue, never more", async () => {
    const account = await stage.account("10");
    const others = await Promise.all([stage.another(), stage.another()]);
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        openHold([stage.billing, ...others][i % 3] ?? stage.billing, aHold(account, UNIT)),
      ),
    );
    const taken = outcomes.flatMap((outcome) => (outcome.outcome === "held" ? [outcome] : []));
    expect(taken).toHaveLength(10);
    expect(outcomes.filter(({ outcome }) => outcome === "refused")).toHaveLength(40);
    expect(await figures(account)).toEqual([10n * UNIT, 10n * UNIT, 0n]);
    await Promise.all(
      taken.map(({ holdId }, i) => captureHold(stage.billing, { account, holdId }, drawn(i === 0 ? 3n * UNIT : UNIT))),
    );
    expect(await figures(account)).toEqual([-2n * UNIT, 0n, -2n * UNIT]);
  });

  test("3: the same request again is the same hold, while it is open and after; with another digest it is a conflict", async () => {
    const account = await stage.account("10");
    const { request, outcome: _, ref, own: __, ...hold } = await held(account, UNIT);
    const again = () => openHold(stage.billing, request);
    expect(await again()).toEqual({ outcome: "repeated", ...hold });
    expect(await openHold(stage.billing, { ...request, digest: "e".repeat(64) })).toEqual({ outcome: "conflict" });
    expect(await charge(stage.billing, aCharge(account, UNIT, { requestId: request.requestId }))).toEqual({
      outcome: "conflict",
    });
    await captureHold(stage.billing, ref, drawn(UNIT));
    expect(await again()).toEqual({ outcome: "repeated", ...hold });
    expect(await figures(account)).toEqual([9n * UNIT, 0n, 9n * UNIT]);
  });

  test("3: captured twice is answered as first, with another cost it is a conflict; void after capture and capture after void are closed", async () => {
    const account = await stage.account("10");
    const captured = await held(account, UNIT);
    const first = await captureHold(stage.billing, captured.ref, drawn(2n));
    expect(await captureHold(stage.billing, captured.ref, drawn(2n))).toEqual({ ...first, outcome: "repeated" });
    expect(await captureHold(stage.billing, captured.ref, drawn(3n))).toEqual({ outcome: "conflict" });
    expect(await voidHold(stage.billing, captured.ref)).toEqual({ outcome: "closed" });
    const voided = await held(account, UNIT);
    expect(await voidHold(stage.billing, voided.ref)).toEqual({ outcome: "voided" });
    expect(await voidHold(stage.billing, voided.ref)).toEqual({ outcome: "voided" });
    expect(await captureHold(stage.billing, voided.ref, drawn(2n))).toEqual({ outcome: "closed" });
    expect(await figures(account)).toEqual([10n * UNIT - 2n, 0n, 10n * UNIT - 2n]);
  });

  test("3: of parallel captures and voids one wins, and all are told the same", async () => {
    const account = await stage.account("10");
    for (let round = 0; round < 5; round++) {
      const { ref } = await held(account, UNIT);
      const outcomes = await Promise.all(
        Array.from({ length: 12 }, (_, i) =>
          i % 3 === 0 ? voidHold(stage.billing, ref) : captureHold(stage.billing, ref, drawn(UNIT)),
        ),
      );
      const words = new Set(outcomes.map(({ outcome }) => outcome));
      expect([...words].toSorted().join(" ")).toMatch(/^(charged closed repeated|closed voided)$/);
      expect(outcomes.filter(({ outcome }) => outcome === "charged").length).toBe(words.has("charged") ? 1 : 0);
    }
    expect((await figures(account))[1]).toBe(0n);
  });

  test("3: with its request named, its end is remembered under the request id alone, and a voided request may come again", async () => {
    const account = await stage.account("10");
    const captured = await held(account, UNIT);
    const first = await captureHold(stage.billing, captured.own, drawn(5n));
    expect(first).toMatchObject({ outcome: "charged", deductionId: captured.holdId });
    expect(await captureHold(stage.billing, captured.own, drawn(5n))).toEqual({ ...first, outcome: "repeated" });
    expect(await captureHold(stage.billing, captured.own, drawn(6n))).toEqual({ outcome: "conflict" });
    expect(await openHold(stage.billing, captured.request)).toEqual({ ...first, outcome: "answered" });
    const voided = await held(account, UNIT);
    expect(await voidHold(stage.billing, voided.own)).toEqual({ outcome: "voided" });
    expect(await openHold(stage.billing, voided.request)).toMatchObject({ outcome: "held" });
  });

  test("5: expired, it is released by the next request that needs it; extended, it is not; captured after, it still records", async () => {
    const account = await stage.account("10");
    const [short, long] = [
      await held(account, 6n * UNIT, { ttlMs: 200 }),
      await held(account, 3n * UNIT, { ttlMs: 200 }),
    ];
    expect(await extendHold(stage.billing, long.own, 60_000)).toMatchObject({ outcome: "extended" });
    await expired(short.expiresAt);
    expect(await extendHold(stage.billing, short.own, 60_000)).toEqual({ outcome: "closed" });
    expect(await charge(stage.billing, aCharge(account, 8n * UNIT))).toMatchObject({ outcome: "refused" });
    expect(await charge(stage.billing, aCharge(account, 7n * UNIT))).toMatchObject({ outcome: "charged" });
    expect(await figures(account)).toEqual([3n * UNIT, 3n * UNIT, 0n]);
    expect(await captureHold(stage.billing, short.ref, drawn(UNIT))).toMatchObject({ outcome: "charged" });
    expect(await figures(account)).toEqual([2n * UNIT, 3n * UNIT, -UNIT]);
    expect(await captureHold(stage.billing, long.ref, drawn(UNIT))).toMatchObject({ outcome: "charged" });
    expect(await figures(account)).toEqual([UNIT, 0n, UNIT]);
  });

  test("5: expired holds of an idle account are swept, loaded or not, and nothing of them is left in Redis but their record", async () => {
    await sweepHolds(stage.billing); // what other tests left
    const [account, cold] = [await stage.account("10"), await stage.account("10")];
    const holds = await Promise.all([1n, 2n, 3n].map((n) => held(account, n * UNIT, { ttlMs: 100 + Number(n) * 100 })));
    const inCold = await held(cold, UNIT, { ttlMs: 100 });
    const open = await held(account, UNIT);
    const [dueKey, member] = [`holds:${tagOf(account)}`, `user:${account.ownerId}:${account.id}`];
    await stage.billing.redis.del(keyOf(cold));
    for (const { expiresAt } of [...holds, inCold]) await expired(expiresAt);
    expect(await sweepHolds(stage.billing)).toBe(2);
    expect(await figures(account)).toEqual([10n * UNIT, UNIT, 9n * UNIT]);
    expect((await readBalance(stage.billing, cold))?.heldNanos).toBe(0n);
    expect(await voidHold(stage.billing, open.own)).toEqual({ outcome: "voided" });
    for (const { own } of [...holds]) expect(await voidHold(stage.billing, own)).toEqual({ outcome: "voided" });
    await stage.billing.redis.zadd(dueKey, "XX", 0, member); // it is due at its next hold's expiry, which was given back
    expect(await sweepHolds(stage.billing)).toBe(1);
    expect(await stage.billing.redis.zscore(dueKey, member)).toBeNull();
    expect(await stage.billing.redis.exists(`holds:${tagOf(account)}:${account.id}`)).toBe(0);
  });

  test("5: what our own gateway opened and did not end is noted as served and not captured, once, until it is captured after all", async () => {
    await sweepHolds(stage.billing);
    const account = await stage.account("10");
    const [lost, late, ended] = [
      await held(account, 2n * UNIT, { ttlMs: 100, served: true }),
      await held(account, 3n * UNIT, { ttlMs: 100, served: true }),
      await held(account, UNIT, { ttlMs: 100, served: true }),
    ];
    for (const { expiresAt } of [lost, late, ended]) await expired(expiresAt);
    // Released by whoever needs it, and noted all the same.
    expect(await charge(stage.billing, aCharge(account, 10n * UNIT))).toMatchObject({ outcome: "charged" });
    expect(await captureHold(stage.billing, ended.own, drawn(UNIT))).toMatchObject({ outcome: "charged" });
    const uncaptured = async () =>
      (await listUncaptured(stage.billing, { accountId: account.id })).map(({ holdId }) => holdId).toSorted();
    await Promise.all([sweepHolds(stage.billing), sweepHolds(await stage.another())]);
    expect(await uncaptured()).toEqual([lost.holdId, late.holdId].toSorted());
    expect(await listUncaptured(stage.billing)).toContainEqual({
      holdId: lost.holdId,
      accountId: account.id,
      virtualKey: "vk_test",
      requestId: lost.request.requestId,
      provider: "openai",
      model: "gpt-4o",
      amount: "2.000000000",
      openedAt: expect.any(Date),
      expiredAt: lost.expiresAt,
    });
    const alert = () =>
      stage.query("SELECT level, details FROM data.alert WHERE kind = 'served_not_captured' AND resolved_at IS NULL");
    expect(await alert()).toEqual([{ level: "warning", details: { holds: 2, set_aside: "5.000000000" } }]);
    expect(await stage.billing.redis.exists(`holds:${tagOf(account)}:${account.id}`)).toBe(0);
    for (const { own } of [lost, late])
      expect(await captureHold(stage.billing, own, drawn(UNIT))).toMatchObject({ outcome: "charged" });
    const worker = stage.worker();
    await stage.drained();
    await worker.stop();
    expect(await uncaptured()).toEqual([]);
    await alertUncaptured(stage.billing);
    expect(await alert()).toEqual([]);
    expect(await figures(account)).toEqual([-3n * UNIT, 0n, -3n * UNIT]);
  });

  test("5: with Postgres away expired holds are released, and noted when it is back", async () => {
    const account = await stage.account("10");
    const hold = await held(account, 2n * UNIT, { ttlMs: 100, served: true });
    await expired(hold.expiresAt);
    const db = connectDb("postgres://nobody@127.0.0.1:1/none");
    const alone = await openBilling({ redisUrl: stage.redis.url, db });
    await expect(sweepHolds(alone)).rejects.toThrow("ECONNREFUSED");
    await closeBilling(alone);
    await closeDb(db);
    expect(await figures(account)).toEqual([10n * UNIT, 0n, 10n * UNIT]);
    expect(await listUncaptured(stage.billing, { accountId: account.id })).toEqual([]);
    await sweepHolds(stage.billing);
    expect(await listUncaptured(stage.billing, { accountId: account.id })).toHaveLength(1);
  });

  test("2: after a hand-made DEL the account is loaded with what is held, and what is captured then is drawn once", async () => {
    const account = await stage.account("10");
    const [short, long] = [await held(account, 4n * UNIT, { ttlMs: 100 }), await held(account, 3n * UNIT)];
    await expired(short.expiresAt);
    await stage.billing.redis.del(keyOf(account));
    expect(await openHold(stage.billing, aHold(account, 8n * UNIT))).toMatchObject({
      outcome: "refused",
      heldNanos: 3n * UNIT,
    });
    await stage.billing.redis.del(keyOf(account));
    expect(await captureHold(stage.billing, long.ref, drawn(2n * UNIT))).toMatchObject({ outcome: "charged" });
    expect(await captureHold(stage.billing, long.ref, drawn(2n * UNIT))).toMatchObject({ outcome: "repeated" });
    expect(await figures(account)).toEqual([8n * UNIT, 0n, 8n * UNIT]);
  });

  test("3: a process that dies between capture and answer leaves a capture that is answered as first", async () => {
    const account = await stage.account("10");
    class Crash extends Error {}
    for (const point of ["charge.sent", "charge.answered"] as const) {
      let armed = true;
      const dying = await stage.another({
        observe: (at) => {
          if (at === point && armed) {
            armed = false;
            throw new Crash(point);
          }
        },
      });
      const hold = await held(account, UNIT);
      await expect(captureHold(dying, hold.own, drawn(UNIT))).rejects.toThrow(Crash);
      expect(await captureHold(stage.billing, hold.own, drawn(UNIT))).toMatchObject({ costNanos: UNIT });
      expect(await captureHold(stage.billing, hold.own, drawn(UNIT))).toMatchObject({ outcome: "repeated" });
    }
    expect(await figures(account)).toEqual([8n * UNIT, 0n, 8n * UNIT]);
  });

  test("1: holds of one turn are few script calls, and so are their captures; one that cannot be written harms no other", async () => {
    const [account, broken] = [await stage.account("10"), await stage.account("10")];
    const here = (one: AccountRef) => ({ ...one, id: account.id });
    await readBalance(stage.billing, account);
    await stage.billing.redis.set(`balance:${tagOf(account)}:${broken.type}:${broken.ownerId}`, "no hash");
    const calls = async () =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(await stage.billing.redis.info("commandstats"))?.[1] ?? 0);
    const before = await calls();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 100 }, (_, i) =>
        openHold(stage.billing, aHold(i % 10 === 0 ? here(broken) : account, UNIT / 20n)),
      ),
    );
    const taken = outcomes.flatMap((one) =>
      one.status === "fulfilled" && one.value.outcome === "held" ? [one.value] : [],
    );
    expect(outcomes.filter(({ status }) => status === "rejected")).toHaveLength(10);
    expect(taken).toHaveLength(90);
    expect((await calls()) - before).toBeLessThanOrEqual(4);
    expect(await figures(account)).toEqual([10n * UNIT, (90n * UNIT) / 20n, 10n * UNIT - (90n * UNIT) / 20n]);
    const captured = await Promise.all(
      taken.map(({ holdId }) => captureHold(stage.billing, { account, holdId }, drawn(UNIT / 20n))),
    );
    expect(captured.map(({ outcome }) => outcome)).toEqual(taken.map(() => "charged"));
    expect(await figures(account)).toEqual([10n * UNIT - (90n * UNIT) / 20n, 0n, 10n * UNIT - (90n * UNIT) / 20n]);
    await stage.billing.redis.del(`balance:${tagOf(account)}:${broken.type}:${broken.ownerId}`);
  });

  test("misuse: a foreign or unknown id, an amount out of range, a frozen account move no money", async () => {
    const [account, other] = [await stage.account("10"), await stage.account("10")];
    const hold = await held(account, UNIT);
    await readBalance(stage.billing, other);
    for (const holdId of [hold.holdId, "ded_1_00", "", "ded_1_00000000000000000000"]) {
      expect(await captureHold(stage.billing, { account: other, holdId }, drawn(1n))).toEqual({
        outcome: "unknown_hold",
      });
      expect(await voidHold(stage.billing, { account: other, holdId })).toEqual({ outcome: "unknown_hold" });
    }
    await expect(openHold(stage.billing, aHold(account, -1n))).rejects.toThrow("out of range");
    await expect(openHold(stage.billing, aHold(account, 10n ** 30n))).rejects.toThrow("out of range");
    expect(await openHold(stage.billing, aHold({ ...other, id: randomUUID(), ownerId: randomUUID() }, UNIT))).toEqual({
      outcome: "unknown_account",
    });
    await stage.query("UPDATE data.account_balance SET status = 'frozen' WHERE id = $1", [other.id]);
    await applyCredit(stage.billing, other.id);
    expect(await openHold(stage.billing, aHold(other, UNIT))).toMatchObject({
      outcome: "refused",
      reason: "account_frozen",
    });
    expect(await figures(account)).toEqual([10n * UNIT, UNIT, 9n * UNIT]);
    expect(await figures(other)).toEqual([10n * UNIT, 0n, 10n * UNIT]);
  });
});
