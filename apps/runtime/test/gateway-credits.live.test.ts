import { giveCredit, parseUnits, refund } from "@drawdown/billing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { balanceOf, openStage, post, run, type Stage, settled } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage?.stop());

const act = { actor: "ann", role: "admin", reason: "a test" };
const charge = async (promptTokens: number) => {
  const body = { provider: "openai", model: "gpt-4o", usage: { prompt_tokens: promptTokens, completion_tokens: 0 } };
  const answer = await post(`${stage.gatewayUrl}/v1/charges`, stage.user1.api_key, body);
  return { status: answer.status, ...((await answer.json()) as { deduction_id: string; balance_after: string }) };
};
/** How long until the gateway knows, in ms. */
const seen = async (balance: string) => {
  const begun = performance.now();
  await expect
    .poll(async () => (await balanceOf(stage, stage.user1)).balance, { interval: 10, timeout: 20_000 })
    .toBe(balance);
  return performance.now() - begun;
};

describe("credits and refunds through the running gateway and worker", () => {
  it("8: a part and the rest of a charge are given back, linked to it, and seen within a second; no more than was charged", async () => {
    const { deduction_id: id, balance_after: after } = await charge(400_000); // 1 unit
    const { id: rowId } = await settled(stage, id);
    expect(after).toBe("999.000000000");
    const part = await refund({ db: stage.db }, id, act, parseUnits("0.25"));
    expect(part).toMatchObject({ outcome: "refunded", chargedNanos: parseUnits("1") });
    expect(await seen("999.250000000")).toBeLessThan(1_000);
    expect(await refund({ db: stage.db }, id, act, parseUnits("0.750000001"))).toMatchObject({ outcome: "exceeds" });
    expect(await refund({ db: stage.db }, id, act)).toMatchObject({ outcome: "refunded" });
    expect(await seen("1000.000000000")).toBeLessThan(1_000);
    const { rows } = await stage.db.$client.query(
      "SELECT amount, reason, actor, split_part(reference, ':', 2) AS of FROM data.account_balance_audit WHERE audit_category = 'refund' ORDER BY id",
    );
    expect(rows).toEqual([
      { amount: "0.250000000", reason: "a test", actor: "ann", of: id },
      { amount: "0.750000000", reason: "a test", actor: "ann", of: id },
    ]);
    const { stdout } = await run(["trace", id, "--json"], stage.env);
    expect(JSON.parse(stdout)).toMatchObject({ state: "settled", usage_log: { id: rowId } });
  });

  it("2: a credit is seen within a second, pays what is overdue first, and then requests are served again", async () => {
    const hold = await post(`${stage.gatewayUrl}/v1/holds`, stage.user1.api_key, { amount: "1" });
    const { hold_id: id } = (await hold.json()) as { hold_id: string };
    await post(`${stage.gatewayUrl}/v1/holds/${id}/capture`, stage.user1.api_key, { amount: "1003" });
    expect(await balanceOf(stage, stage.user1)).toMatchObject({
      balance: "-3.000000000",
      overdue_amount: "3.000000000",
    });
    expect((await charge(1)).status).toBe(402);
    const account = { accountId: stage.user1.account_balance_id, category: "top_up" as const };
    await giveCredit({ db: stage.db }, { ...account, amountNanos: parseUnits("2") }, act);
    expect(await seen("-1.000000000")).toBeLessThan(1_000);
    expect((await charge(1)).status).toBe(402);
    await giveCredit({ db: stage.db }, { ...account, amountNanos: parseUnits("1.5") }, act);
    expect(await seen("0.500000000")).toBeLessThan(1_000);
    expect(await balanceOf(stage, stage.user1)).toMatchObject({ overdue_amount: "0.000000000" });
    expect((await charge(1)).status).toBe(200);
  });
});
