import { afterEach, beforeEach, expect, test } from "vitest";
import { charge, readStandings, shardOf } from "../src/index.ts";
import { ackUnwritten, addEntry, keyOf, olderFields, settleAll, UNIT } from "./replay-stage.ts";
import { aCharge, openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

test("Rule 7: an entry is settled when the books have its very id, account, cost and seq, and no other is", async () => {
  const [account, other] = [await stage.account("100"), await stage.account("100")];
  const ids: string[] = [];
  for (const metadata of [{}, {}, {}, {}, {}, {}, { note: "é\u{1F680}" }]) {
    const charged = await charge(stage.billing, aCharge(account, UNIT, { metadata }));
    if (charged.outcome !== "charged") throw new Error(charged.outcome);
    ids.push(charged.deductionId);
  }
  await addEntry(stage, account, olderFields(account, { deduction_id: "older", account_id: account.id.toUpperCase() }));
  await addEntry(stage, account, { ...olderFields(account, { deduction_id: "unreadable" }), cost: "much" });
  await settleAll(stage);
  await charge(stage.billing, aCharge(account, UNIT));
  await ackUnwritten(stage, account);
  const change = async (what: string, id: string | undefined, ...values: string[]) => {
    expect(
      await stage.query(`UPDATE data.usage_log SET ${what} WHERE deduction_id = $1 RETURNING 1`, [id, ...values]),
    ).toHaveLength(1);
  };
  await change("cost = cost + 0.000000001", ids[1]);
  await change("account_id = $2", ids[2], other.id);
  await change("account_seq = account_seq + 100", ids[3]);
  await change("settled_at = NULL", ids[4]);
  await change("deduction_id = 'another'", ids[5]);

  const { entries, more } = await readStandings(stage.billing, shardOf(account.id, 16), "-", "+", 100);
  expect(more).toBe(false);
  const found = entries.map(({ entry, standing }) => [
    entry?.kind === "usage" ? entry.deductionId : entry?.kind,
    standing,
  ]);
  expect(found).toEqual([
    ["credit", "settled"],
    [ids[0], "settled"],
    [ids[1], "unaccounted"],
    [ids[2], "unaccounted"],
    [ids[3], "unaccounted"],
    [ids[4], "half_settled"],
    [ids[5], "unaccounted"],
    [ids[6], "settled"],
    ["older", "settled"],
    [undefined, "dead_lettered"],
    ["credit", "settled"], // what the older producer drew
    [expect.any(String), "unaccounted"],
  ]);
  expect(entries.map(({ raw }) => raw.entryId)).toEqual(
    (await stage.billing.redis.xrange(keyOf(account), "-", "+")).map(([id]) => id),
  );
});
