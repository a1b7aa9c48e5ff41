import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { waitFor } from "@drawdown/local-stack";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type AccountRef,
  type Billing,
  type ChargeRequest,
  captureHold,
  charge,
  chargeMany,
  type HoldRequest,
  openHold,
  readSpent,
  repair,
  type SpendLimit,
  type SpendPeriod,
  shardOf,
  voidHold,
} from "../src/index.ts";
import { balanceKeyOf, settledAccountOf } from "./repair-stage.ts";
import { aCharge, openStage, type Stage } from "./stage.ts";

const UNIT = 1_000_000_000n;

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

const aDay = (units: bigint): SpendLimit => ({ period: "day", limitNanos: units * UNIT });
const limited = (account: AccountRef, units: bigint, more: Partial<ChargeRequest> = {}) =>
  aCharge(account, UNIT, { spendLimit: aDay(units), ...more });
const aHold = (account: AccountRef, units: bigint, spendLimit: SpendLimit, more: Partial<HoldRequest> = {}) => ({
  ...{ account, virtualKey: "vk_test", requestId: randomUUID(), digest: "d".repeat(64), amountNanos: units * UNIT },
  ...{ ttlMs: 30_000, provider: "openai", model: "gpt-4o", spendLimit },
  ...more,
});
const fieldOf = (account: AccountRef, key = "vk_test") => stage.billing.redis.hget(balanceKeyOf(account), `s:${key}`);
/** What the key drew in this period, as Redis counts it. */
const spent = async (account: AccountRef) => {
  const [, , drawn, unknown] = (await fieldOf(account))?.split(" ") ?? [];
  return unknown === undefined ? drawn : "unknown";
};
const wordsOf = (outcomes: { outcome: string }[]) => {
  const count = (word: string) => outcomes.filter(({ outcome }) => outcome === word).length;
  return { charged: count("charged") + count("held"), refused: count("refused") };
};
const drawn = (costNanos: bigint) => {
  const { account: _, requestId: __, digest: ___, ...rest } = aCharge({} as AccountRef, costNanos);
  return rest;
};

describe("a key's spend limit", () => {
  test("2: 60 parallel charges and holds from three processes stop at the limit to the nano; other keys go on", async () => {
    const account = await stage.account("1000");
    const processes = [stage.billing, await stage.another(), await stage.another()];
    const of = (i: number) => processes[i % 3] ?? stage.billing;
    const outcomes = await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        i % 2 === 0 ? charge(of(i), limited(account, 10n)) : openHold(of(i), aHold(account, 1n, aDay(10n))),
      ),
    );
    expect(wordsOf(outcomes)).toEqual({ charged: 10, refused: 50 });
    const refused = await charge(stage.billing, limited(account, 10n));
    const drawnNanos = BigInt((await spent(account)) ?? -1);
    expect(refused).toMatchObject({
      outcome: "refused",
      reason: "spend_limit",
      requiredNanos: UNIT,
      spend: { period: "day", limitNanos: 10n * UNIT, drawnNanos, reservedNanos: 10n * UNIT - drawnNanos },
    });
    expect(await charge(stage.billing, aCharge(account, UNIT, { virtualKey: "vk_other" }))).toMatchObject({
      outcome: "charged",
    });
    const other = limited(account, 1n, { virtualKey: "vk_third" });
    const many = await chargeMany(stage.billing, [other, { ...other, requestId: randomUUID() }]);
    expect(wordsOf(many)).toEqual({ charged: 1, refused: 1 });
  });

  test("10: what a key drew is told exactly before its limit is asked for, while it counts, and in another period", async () => {
    const account = await stage.account("1000");
    const told = async (period: SpendPeriod) => (await readSpent(stage.billing, account, "vk_test", period)).spentNanos;
    await charge(stage.billing, aCharge(account, 3n * UNIT));
    await charge(stage.billing, aCharge(account, 1n, { virtualKey: "vk_other" }));
    expect(await fieldOf(account)).toBeNull();
    expect(await told("day")).toBe(3n * UNIT);
    await charge(stage.billing, limited(account, 10n));
    await charge(stage.billing, limited(account, 10n));
    expect(await spent(account)).toBe(String(5n * UNIT));
    expect(await told("day")).toBe(5n * UNIT);
    for (const period of ["week", "month"] as const) expect(await told(period)).toBe(5n * UNIT);
    await stage.billing.redis.hset(balanceKeyOf(account), "s:vk_test", `day 2020-01-01 ${7n * UNIT}`);
    expect(await told("day")).toBe(0n);
  });

  test("2: what other keys of the account hold is not this key's, also near its limit", async () => {
    const account = await stage.account("1000");
    for (const virtualKey of ["vk_other", "x vk_test"])
      expect(await openHold(stage.billing, aHold(account, 50n, aDay(50n), { virtualKey }))).toMatchObject({
        outcome: "held",
      });
    for (const [units, outcome] of [
      [1n, "held"],
      [9n, "held"],
      [1n, "refused"],
    ] as const)
      expect(await openHold(stage.billing, aHold(account, units, aDay(10n)))).toMatchObject({ outcome });
    expect(await charge(stage.billing, limited(account, 10n))).toMatchObject({ spend: { reservedNanos: 10n * UNIT } });
  });

  test("2: a void and an expiry give back what was reserved; a capture counts what it cost, also above its hold", async () => {
    const account = await stage.account("1000");
    const hold = async (units: bigint, more: Partial<HoldRequest> = {}) => {
      const outcome = await openHold(stage.billing, aHold(account, units, aDay(10n), more));
      return outcome.outcome === "held" ? { account, holdId: outcome.holdId, expiresAt: outcome.expiresAt } : undefined;
    };
    const [voided, expiring] = [await hold(5n), await hold(5n, { ttlMs: 300 })];
    expect(await hold(1n)).toBeUndefined();
    if (!voided || !expiring) throw new Error("not held");
    await voidHold(stage.billing, voided);
    const captured = await hold(5n);
    if (!captured) throw new Error("not held");
    await waitFor(async () => (await hold(5n)) !== undefined, {
      timeoutMs: 10_000,
      what: "the expired hold to count for nothing",
    });
    expect(await captureHold(stage.billing, captured, drawn(2n * UNIT))).toMatchObject({ outcome: "charged" });
    expect(await spent(account)).toBe(String(2n * UNIT));
    expect(wordsOf([await charge(stage.billing, limited(account, 10n, { costNanos: 3n * UNIT }))])).toEqual({
      charged: 1,
      refused: 0,
    });
    // Expired or not: the service was given, and is counted.
    expect(await captureHold(stage.billing, expiring, drawn(7n * UNIT))).toMatchObject({ outcome: "charged" });
    expect(await spent(account)).toBe(String(12n * UNIT));
    expect(await charge(stage.billing, limited(account, 10n, { costNanos: 0n }))).toMatchObject({ outcome: "refused" });
    expect(await charge(stage.billing, limited(account, 10n, { delivered: true }))).toMatchObject({
      outcome: "charged",
    });
    expect(await spent(account)).toBe(String(13n * UNIT));
  });

  test("2: what the key spent is found again after a DEL, whether it is settled, unread or a dead letter, and of this key alone", async () => {
    const account = await stage.account("1000");
    const chargeOnce = async (more: Partial<ChargeRequest>) =>
      expect(await charge(stage.billing, aCharge(account, UNIT, more))).toMatchObject({ outcome: "charged" });
    await chargeOnce({ costNanos: 2n * UNIT });
    await chargeOnce({ costNanos: 100n * UNIT, virtualKey: "vk_other" });
    const worker = stage.worker();
    await stage.drained();
    await worker.stop();
    await stage.query(
      "UPDATE data.usage_log SET created_at = created_at - interval '1 day' WHERE virtual_key = 'vk_other'",
    );
    await chargeOnce({ costNanos: 3n * UNIT });
    await chargeOnce({ costNanos: 4n * UNIT });
    const [entry] = await stage.billing.redis.xrevrange(
      `stream:deductions:${shardOf(account.id, 16)}`,
      "+",
      "-",
      "COUNT",
      1,
    );
    const fields = Object.fromEntries(
      (entry?.[1] ?? []).flatMap((name, i, all) => (i % 2 === 0 ? [[name, all[i + 1]]] : [])),
    );
    await stage.billing.redis.xdel(`stream:deductions:${shardOf(account.id, 16)}`, entry?.[0] ?? "");
    await stage.query(
      `INSERT INTO data.dead_letter (stream_key, stream_entry_id, raw, fields, deduction_id, account_id, cost, account_seq, error_class, error_message)
       VALUES ($1, $2, '', $3, $4, $5, $6, $7, 'test', 'test')`,
      [
        `stream:deductions:${shardOf(account.id, 16)}`,
        entry?.[0],
        JSON.stringify(fields),
        fields.deduction_id,
        account.id,
        fields.cost,
        fields.account_seq,
      ],
    );
    for (let round = 0; round < 2; round++) {
      expect(await charge(stage.billing, limited(account, 9n))).toMatchObject({
        outcome: "refused",
        reason: "spend_limit",
        spend: { drawnNanos: 9n * UNIT, reservedNanos: 0n },
      });
      await stage.billing.redis.del(balanceKeyOf(account));
    }
    expect(await charge(stage.billing, limited(account, 10n))).toMatchObject({ outcome: "charged" });
    expect(await spent(account)).toBe(String(10n * UNIT));
  });

  test("2: nothing is missed or counted twice while several find it out at once, others, who know of no limit, go on charging and settling, and the account is lost", {
    timeout: 90_000,
  }, async () => {
    const account = await stage.account("100000");
    const processes = [stage.billing, await stage.another(), await stage.another()];
    const worker = stage.worker();
    let cost = 0n;
    const draw = async (billing: Billing, request: ChargeRequest) => {
      const outcome = await charge(billing, request);
      if (outcome.outcome === "charged") cost += request.costNanos;
      return outcome;
    };
    const drawAgain = async (billing: Billing, times: number, request: () => ChargeRequest) => {
      for (let i = 0; i < times; i++) await draw(billing, request());
    };
    for (let round = 0; round < 6; round++) {
      await stage.billing.redis.hdel(balanceKeyOf(account), "s:vk_test");
      await Promise.all([
        ...processes.map((billing) => drawAgain(billing, 20, () => aCharge(account, 7n * UNIT))),
        ...processes.map((billing) => drawAgain(billing, 5, () => limited(account, 50_000n))),
        ...(round % 2 === 0 ? [] : [stage.billing.redis.del(balanceKeyOf(account))]),
      ]);
      await draw(stage.billing, limited(account, 50_000n));
      expect(await spent(account)).toBe(cost.toString());
    }
    await stage.drained();
    await worker.stop();
    const [row] = await stage.query("SELECT sum(cost) AS sum FROM data.usage_log WHERE account_id = $1", [account.id]);
    expect(row?.sum?.replace(".", "")).toBe(cost.toString());
  });

  test("2: one that died while it counted leaves what the next one finishes", async () => {
    const account = await stage.account("1000");
    expect(await charge(stage.billing, aCharge(account, UNIT))).toMatchObject({ outcome: "charged" });
    const { seq } = { seq: await stage.billing.redis.hget(balanceKeyOf(account), "q") };
    await stage.billing.redis.hset(
      balanceKeyOf(account),
      "s:vk_test",
      `day ${new Date().toISOString().slice(0, 10)} 0 ${seq}`,
    );
    expect(await charge(stage.billing, aCharge(account, UNIT))).toMatchObject({ outcome: "charged" });
    expect(await spent(account)).toBe("unknown");
    expect(await charge(stage.billing, limited(account, 3n))).toMatchObject({ outcome: "charged" });
    expect(await spent(account)).toBe(String(3n * UNIT));
  });

  test("2: after a repair it is found again: Redis may have lost what the key drew", async () => {
    const account = await settledAccountOf(stage, 3);
    const refused = { outcome: "refused", reason: "spend_limit", spend: { drawnNanos: 3n * UNIT } };
    expect(await charge(stage.billing, limited(account, 3n))).toMatchObject(refused);
    const today = (await fieldOf(account))?.split(" ")[1];
    await stage.billing.redis.hset(balanceKeyOf(account), {
      b: "99000000000",
      d: "1000000000",
      q: "2",
      "s:vk_test": `day ${today} 0`,
    });
    const act = { actor: "ann", role: "admin", reason: "a replica that lagged" };
    expect(await repair(stage.billing, account, act)).toMatchObject({ outcome: "repaired" });
    expect(await charge(stage.billing, limited(account, 3n))).toMatchObject(refused);
  });

  test("2: a new period begins with nothing; another period's limit counts from the books", async () => {
    const account = await stage.account("1000");
    expect(await charge(stage.billing, limited(account, 5n, { costNanos: 5n * UNIT }))).toMatchObject({
      outcome: "charged",
    });
    const today = (await fieldOf(account))?.split(" ")[1] ?? "";
    await stage.billing.redis.hset(balanceKeyOf(account), "s:vk_test", `day 2020-02-29 ${5n * UNIT}`);
    expect(await charge(stage.billing, limited(account, 1n))).toMatchObject({ outcome: "charged" });
    expect(await fieldOf(account)).toBe(`day ${today} ${UNIT}`);
    const monthly = limited(account, 0n, { spendLimit: { period: "month", limitNanos: 7n * UNIT } });
    expect(await charge(stage.billing, monthly)).toMatchObject({ outcome: "charged" });
    expect(await fieldOf(account)).toBe(`month ${today.slice(0, 7)} ${7n * UNIT}`);
    const weekly = limited(account, 0n, { spendLimit: { period: "week", limitNanos: 7n * UNIT } });
    expect(await charge(stage.billing, weekly)).toMatchObject({ outcome: "refused", spend: { drawnNanos: 7n * UNIT } });
  });

  test("3: a period begins at midnight UTC, a week on Monday, a month on its first", async () => {
    const source = ["exact", "draw"].map((name) =>
      readFileSync(new URL(`../src/${name}.lua`, import.meta.url), "utf8"),
    );
    const script = `${source.join("\n")}\nreturn spend_start(ARGV[1], ARGV[2], ARGV[3])`;
    const startOf = (period: string, at: number) =>
      stage.billing.redis.eval(script, 0, period, String(at), new Date(at).toISOString());
    for (const text of [
      "1970-01-04T23:59:59.999Z",
      "2024-02-29T12:00:00Z",
      "2026-11-22T23:59:59.999Z",
      "2026-11-23T00:00:00Z",
      "2027-01-01T00:00:00Z",
    ]) {
      const at = Date.parse(text);
      expect(await startOf("day", at)).toBe(text.slice(0, 10));
      expect(await startOf("month", at)).toBe(text.slice(0, 7));
      const midnight = new Date(text.slice(0, 10));
      const monday = midnight.getTime() - ((midnight.getUTCDay() + 6) % 7) * 86_400_000;
      expect((Number(await startOf("week", at)) * 7 - 3) * 86_400_000).toBe(monday);
    }
  });
});
