import { randomUUID } from "node:crypto";
import { appendFile, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  type AccountRef,
  charge,
  cleanup,
  listDeadLetters,
  planRepair,
  previewRetention,
  type Retained,
  reconcile,
  refund,
  retain,
  trace,
  verifyChain,
  verifyRetention,
} from "../src/index.ts";
import { readExport } from "../src/retention-file.ts";
import { addEntry, anAct, chargeUnits, drain, keyOf, olderFields, settleAll, UNIT } from "./replay-stage.ts";
import { aCharge, chainProblems, openStage, type Stage } from "./stage.ts";

let stage: Stage;
let directory: string;
beforeEach(async () => {
  [stage, directory] = await Promise.all([openStage(), mkdtemp(join(tmpdir(), "retention-"))]);
});
afterEach(async () => {
  await stage.close();
  await rm(directory, { recursive: true });
});

const limits = { fileLines: 6, batchLines: 2 };
/** Everything that is there now is old enough. */
const run = async (before = new Date(Date.now() + 60_000)): Promise<Retained> =>
  await retain(stage.billing, { before, directory, limits }, anAct({ reason: "older than a year" }));

const rowsOf = async (account: AccountRef): Promise<string[]> =>
  (
    await stage.query("SELECT deduction_id FROM data.usage_log WHERE account_id = $1 ORDER BY account_seq", [
      account.id,
    ])
  ).map((row) => row.deduction_id ?? "");

/** The deductions that the files hold, as often as they do. */
async function exported(): Promise<string[]> {
  const names = (await readdir(join(directory, "usage_log"))).filter((name) => name.endsWith(".gz"));
  const ids: string[] = [];
  for (const name of names)
    for await (const { usage } of readExport(directory, join("usage_log", name)))
      if (usage !== null) ids.push(String(usage["deduction_id"]));
  return ids;
}

async function expectWhole(): Promise<void> {
  expect(await verifyChain(stage.billing)).toMatchObject({ ok: true, broken: 0 });
  expect(await reconcile(stage.billing)).toMatchObject({ ok: true, findings: [] });
  expect(await verifyRetention(stage.billing, directory)).toMatchObject({ ok: true, problems: [] });
}

test("Section 2: rows that were exported and removed leave a chain that goes on from a closing balance, while traffic runs", async () => {
  const account = await stage.account("100");
  const before = await chargeUnits(stage, account, 9);
  await stage.query("SELECT data.post_credit($1, 5, 'top_up', 'invoice-1', 'paid', 'billing')", [account.id]);
  await settleAll(stage);
  const running = [stage.worker(), stage.listener()];
  const more = chargeUnits(stage, account, 40);
  const preview = await previewRetention(stage.billing, new Date(Date.now() + 60_000));
  const first = await run();
  const ids = [...before, ...(await more)];
  await stage.atRest();
  const second = await run();
  await Promise.all(running.map((one) => one.stop()));
  expect(preview.deductions).toBeGreaterThanOrEqual(8);
  expect(first.deductions).toBeGreaterThanOrEqual(preview.deductions);
  expect(first.deductions + second.deductions).toBe(48); // the newest link stays
  expect(await rowsOf(account)).toEqual(ids.slice(-1));
  expect((await exported()).toSorted()).toEqual(ids.slice(0, -1).toSorted());
  expect(await chainProblems(stage, account)).toEqual([]);
  await expectWhole();
  // Its entry is in the stream still, acked and without a row: that is no loss.
  const [file] = first.files;
  expect(await trace(stage.billing, ids[0] ?? "")).toMatchObject({
    state: "exported",
    seq: "2",
    exports: expect.arrayContaining([expect.objectContaining({ name: file?.name, deductions: file?.deductions })]),
  });
  // An account that is not in Redis is loaded from what is left, and goes on.
  await stage.billing.redis.del(`balance:{${keyOf(account)}}:user:${account.ownerId}`);
  await chargeUnits(stage, account, 1);
  await settleAll(stage);
  await expectWhole();
  // Credits stay: the same reference again is the same credit.
  await stage.query("SELECT data.post_credit($1, 5, 'top_up', 'invoice-1', 'paid', 'billing')", [account.id]);
  expect((await stage.query("SELECT total_credits AS sum FROM data.account_balance"))[0]?.sum).toBe("105.000000000");
  const acts = await stage.query(
    "SELECT reason FROM data.operator_action WHERE action = 'retention' AND finished_at IS NOT NULL",
  );
  expect(acts).toHaveLength(first.files.length + second.files.length);
});

test("Rule 3: an entry that is older than the oldest kept row is dead-lettered as too_old, and moves no money", async () => {
  const account = await stage.account("100");
  const ids = await chargeUnits(stage, account, 3);
  const [entry] = await stage.billing.redis.xrange(keyOf(account), "-", "+", "COUNT", 2).then((rows) => rows.slice(1));
  await settleAll(stage);
  await run();
  const balances = () => stage.query("SELECT balance, total_debits FROM data.account_balance");
  const settled = await balances();
  await stage.billing.redis.xadd(keyOf(account), "*", ...(entry?.[1] ?? []));
  // The same deduction again as an older producer writes it, without its seq and with a time of now.
  await addEntry(
    stage,
    account,
    olderFields(account, { deduction_id: ids[0] ?? "", cost: "1", timestamp: new Date().toISOString() }),
  );
  await drain(stage);
  const letters = await listDeadLetters(stage.billing.query);
  expect(letters.map(({ errorClass, deductionId }) => [errorClass, deductionId])).toEqual([
    ["too_old", ids[0]],
    ["too_old", ids[0]],
  ]);
  expect(await balances()).toEqual(settled);
  await expect(planRepair(stage.billing, account, { writeOff: [letters[0]?.id ?? ""] })).rejects.toThrow(
    "could be written off",
  );
  expect(await refund(stage.billing, ids[0] ?? "", anAct())).toMatchObject({ outcome: "not_settled" });
  await expectWhole();
  await stage.billing.redis.del(`balance:{${keyOf(account)}}:user:${account.ownerId}`);
  await charge(stage.billing, aCharge(account, UNIT));
  await settleAll(stage);
  await expectWhole();
});

test("Section 2: nothing goes from where something waits, is in doubt or is young, and what older producers drew goes by time", async () => {
  const [waiting, broken, young] = [await stage.account("100"), await stage.account("100"), await stage.account("100")];
  await chargeUnits(stage, waiting, 2);
  await chargeUnits(stage, broken, 3);
  await addEntry(stage, young, olderFields(young, { cost: "1", timestamp: "2024-01-01T00:00:00Z" }));
  await addEntry(stage, young, olderFields(young, { cost: "1" }));
  await settleAll(stage);
  // The third link of one is a dead letter, a row of another is gone.
  const [id = ""] = await chargeUnits(stage, waiting, 1);
  await stage.query("UPDATE data.account_balance SET currency = 'EUR' WHERE id = $1", [waiting.id]);
  await drain(stage);
  await stage.query("UPDATE data.account_balance SET currency = 'USD' WHERE id = $1", [waiting.id]);
  await settleAll(stage);
  await chargeUnits(stage, waiting, 2);
  await settleAll(stage);
  const kept = await rowsOf(broken);
  await stage.query("DELETE FROM data.usage_log WHERE deduction_id = $1", [kept[1]]);
  const none = await run(new Date("2023-01-01"));
  expect(none).toMatchObject({ deductions: 0, files: [] });
  expect(await run(new Date("2025-01-01"))).toMatchObject({ deductions: 0, files: [] }); // drawn before that, and settled after
  await cleanup(stage.billing, { maxAgeMs: 0, cutOffMs: Date.now() + 1_000, maxPerShard: 100, dryRun: false });
  const all = await run();
  expect(all.broken).toEqual([broken.id]);
  expect(await rowsOf(broken)).toHaveLength(2);
  const left = await rowsOf(waiting);
  expect(left).toHaveLength(2);
  expect(left).not.toContain(id);
  expect(await rowsOf(young)).toEqual([]);
  expect(await verifyRetention(stage.billing, directory)).toMatchObject({ ok: true });
  expect((await verifyChain(stage.billing, { accountId: waiting.id })).reports[0]?.problems).toEqual([]);
});

test("Section 2: a file that was changed or is missing is found, and nothing is removed by it", async () => {
  const account = await stage.account("100");
  await chargeUnits(stage, account, 8);
  await settleAll(stage);
  const dying = await stage.another({
    observe: (point) => {
      if (point === "retention.sealed") throw new Error(point);
    },
  });
  const settings = { before: new Date(Date.now() + 60_000), directory, limits };
  await expect(retain(dying, settings, anAct())).rejects.toThrow("retention.sealed");
  const [name = ""] = (await readdir(join(directory, "usage_log"))).filter((one) => one.endsWith(".gz"));
  await appendFile(join(directory, "usage_log", name), "x");
  await expect(run()).rejects.toThrow("is not the file that was sealed");
  expect(await rowsOf(account)).toHaveLength(8);
  expect(await verifyRetention(stage.billing, directory)).toMatchObject({
    ok: false,
    unfinished: 1,
    problems: [{ file: `usage_log/${name}` }],
  });
  await writeFile(join(directory, "usage_log", name), randomUUID());
  await rm(join(directory, "usage_log", name));
  const { problems } = await verifyRetention(stage.billing, directory);
  expect(problems).toMatchObject([{ message: "it is not there" }]);
});
