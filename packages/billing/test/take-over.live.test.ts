import { readFile } from "node:fs/promises";
import { migrate } from "@drawdown/db";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AccountRef, charge } from "../src/index.ts";
import { aCharge, chainProblems, openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
  await stage.query("DROP SCHEMA data CASCADE");
  await stage.query(await readFile(new URL("../../db/test/legacy-schema.sql", import.meta.url), "utf8"));
  await migrate(stage.database.url);
});
afterAll(() => stage.close());

test("Section 2: each account of a taken-over database gets its opening link, from 0, on its first load, and is charged from there", async () => {
  type Row = { id: string; owner: string; type: "user" | "tenant"; currency: string; balance: string };
  const rows = await stage.query<Row>(
    `SELECT id, coalesce(owner_userid, owner_tenantid) AS owner, CASE WHEN owner_userid IS NULL THEN 'tenant' ELSE 'user' END AS type, currency, balance
       FROM data.account_balance WHERE balance >= 1`,
  );
  expect(rows.length).toBeGreaterThan(0);
  const billing = await stage.another();
  const worker = stage.worker({ billing });
  for (const row of rows) {
    const account: AccountRef = { id: row.id, ownerId: row.owner, type: row.type, currency: row.currency };
    expect(await charge(billing, aCharge(account, 1_000_000_000n))).toMatchObject({
      outcome: "charged",
      accountSeq: 2n,
    });
    await stage.atRest();
    expect(await chainProblems(stage, account)).toEqual([]);
    const [opening] = await stage.query(
      "SELECT amount, balance_before, balance_after FROM data.account_balance_audit WHERE account_id = $1 AND account_seq = 1",
      [row.id],
    );
    expect(opening).toEqual({ amount: row.balance, balance_before: "0.000000000", balance_after: row.balance });
  }
  await worker.stop();
});
