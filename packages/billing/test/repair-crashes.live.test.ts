import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AccountRef, type Billing, charge, peekBalance, reconcile, repair, verifyChain } from "../src/index.ts";
import { balanceKeyOf, settleAllOf, settledAccountOf, UNIT } from "./repair-stage.ts";
import { aCharge, openStage, type Stage } from "./stage.ts";

const act = { actor: "ann", role: "admin", reason: "seen in the log of the failover" };
let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

const settleAll = () => settleAllOf(stage);
const settledAccount = () => settledAccountOf(stage);
const reportOf = async (account: AccountRef) =>
  (await verifyChain(stage.billing, { accountId: account.id })).reports[0];
const balanceOf = async (account: AccountRef) => (await peekBalance(stage.billing, account))?.balanceNanos;
const findingsOf = async (account: AccountRef) => (await reconcile(stage.billing, { account })).findings;

describe("repair and crashes", () => {
  async function crashAt(point: string): Promise<Billing> {
    return await stage.another({
      observe: (seen) => {
        if (seen === point) throw new Error(`crash at ${point}`);
      },
    });
  }

  test.each(["repair.recorded", "repair.applied"])(
    "Rule 8: after a crash at %s the act is finished by the next repair, and happened once",
    async (point) => {
      const account = await settledAccount();
      await stage.billing.redis.hincrby(balanceKeyOf(account), "b", 3_000_000_000);
      await expect(repair(await crashAt(point), account, act)).rejects.toThrow(`crash at ${point}`);
      const unfinished = "SELECT id FROM data.operator_action WHERE finished_at IS NULL AND targets->>0 = $1";
      const [action] = await stage.query<{ id: string }>(unfinished, [account.id]);
      expect(action, "on record before its effect in Redis").toBeDefined();
      await charge(stage.billing, aCharge(account, UNIT));
      // A worker settles the link first, and does not know why it was made.
      if (point === "repair.applied") await settleAll();
      const next = await repair(stage.billing, account, { ...act, reason: "again" });
      expect(next).toMatchObject({ outcome: "unchanged", resumed: [action?.id], plan: { outcome: "nothing" } });
      expect(await stage.query(unfinished, [account.id])).toEqual([]);
      expect(await balanceOf(account)).toBe(94n * UNIT);
      await settleAll();
      const report = await reportOf(account);
      expect(report?.repairs).toMatchObject([{ reason: `repair ${action?.id}: ${act.reason}` }]);
      expect(await findingsOf(account)).toEqual([]);
    },
  );

  test("Rule 8: two operators who repair at once repair once", async () => {
    const account = await settledAccount();
    await stage.billing.redis.hincrby(balanceKeyOf(account), "b", 3_000_000_000);
    const outcomes = await Promise.all([
      repair(stage.billing, account, act),
      repair(await stage.another(), account, { ...act, actor: "bob" }),
    ]);
    expect(await balanceOf(account)).toBe(95n * UNIT);
    await settleAll();
    expect((await reportOf(account))?.repairs).toHaveLength(1);
    expect(outcomes.some(({ outcome }) => outcome === "repaired")).toBe(true);
    expect(await stage.query("SELECT 1 FROM data.operator_action WHERE finished_at IS NULL")).toEqual([]);
  });

  test("Section 2: a repair during charges is never over a charge: what was drawn meanwhile stays drawn", async () => {
    const account = await settledAccount();
    const worker = stage.worker();
    await stage.billing.redis.hincrby(balanceKeyOf(account), "b", 3_000_000_000);
    let charges = 0;
    const stopped = new AbortController();
    const lane = async () => {
      for (; !stopped.signal.aborted; charges++) await charge(stage.billing, aCharge(account, 1_000n));
    };
    const busy = lane();
    const outcome = await repair(stage.billing, account, act);
    stopped.abort();
    await busy;
    if (outcome.outcome !== "repaired") expect((await repair(stage.billing, account, act)).outcome).toBe("repaired");
    await stage.drained();
    await worker.stop();
    expect(await balanceOf(account)).toBe(95n * UNIT - BigInt(charges) * 1_000n);
    expect(await findingsOf(account)).toEqual([]);
    expect(charges).toBeGreaterThan(0);
  });
});
