import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AccountRef } from "@drawdown/billing";
import { waitFor } from "@drawdown/local-stack";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readConfig } from "../src/config.ts";
import { billingSchedules } from "../src/jobs/schedule-tasks.ts";
import { type OperatorStage, openOperatorStage } from "./operator-stage.ts";
import { run } from "./stage.ts";

let stage: OperatorStage;
let directory: string;
beforeEach(async () => {
  [stage, directory] = await Promise.all([openOperatorStage(), mkdtemp(join(tmpdir(), "cli-retention-"))]);
});
afterEach(async () => {
  await stage.stop();
  await rm(directory, { recursive: true });
});

/** An account with so many settled charges, as if they were drawn fifty days ago. */
async function oldCharges(count: number): Promise<{ account: AccountRef; ids: string[] }> {
  const account = await stage.account();
  const ids = await stage.charge(account, count);
  const worker = stage.worker();
  const settled = async () => (await stage.rows("SELECT 1 FROM data.usage_log")).length === count;
  await waitFor(settled, { timeoutMs: 20_000, what: "everything settled" });
  worker.signal("SIGTERM");
  await worker.exited;
  await stage.rows("UPDATE data.usage_log SET created_at = now() - interval '50 days'");
  await stage.rows(
    `UPDATE data.account_balance_audit SET stream_entry_id = floor(extract(epoch FROM now() - interval '50 days') * 1000) || '-' || account_seq
      WHERE deduction_id IS NOT NULL`,
  );
  return { account, ids };
}

const rows = async () => (await stage.rows("SELECT 1 FROM data.usage_log")).length;

test("Section 2: a dry run counts and a run with a reason exports and removes as much; its files are verified, and a changed one is told", async () => {
  await oldCharges(5);
  const all = ["retention", "run", "--older-than-days", "40"];
  const why = ["--reason", "older than we need", "--directory", directory];
  expect(await stage.json([...all, "--directory", directory])).toMatchObject({ code: 1 });
  expect(await stage.json(["retention", "run", "--older-than-days", "34", ...why])).toMatchObject({ code: 1 });
  const dry = await stage.json([...all, "--dry-run"]);
  expect(dry).toMatchObject({ code: 0, out: { dry_run: true, accounts: 1, deductions: 4, cost: "4.000000000" } });
  expect(await rows()).toBe(5);
  const before = String(dry.out["before"]);
  const done = await stage.json(["retention", "run", "--before", before, ...why]);
  expect(done).toMatchObject({ code: 0, out: { dry_run: false, before, deductions: 4, broken: [] } });
  expect(await rows()).toBe(1);
  const [file] = done.out["files"] as { name: string; operation_id: string }[];
  expect(await stage.rows("SELECT id, action, reason FROM data.operator_action")).toEqual([
    { id: file?.operation_id, action: "retention", reason: "older than we need" },
  ]);
  expect(await stage.json(["verify-chain"])).toMatchObject({ code: 0 });
  expect(await stage.json(["reconcile"])).toMatchObject({ code: 0 });
  const verify = ["retention", "verify", "--directory", directory];
  expect(await stage.json(verify)).toMatchObject({ code: 0, out: { ok: true, files: 1, deductions: 4 } });
  await appendFile(join(directory, String(file?.name)), "x");
  const human = await run(verify, stage.env);
  expect(human).toMatchObject({ code: 1 });
  expect(human.stdout).toContain(`${file?.name}: its checksum is`);
});

test("Section 5: nothing is removed by a schedule unless the operator said how old and where to; then it is on record, and a trace names the file", async () => {
  const { ids } = await oldCharges(3);
  await stage.json(["cleanup", "--max-age-hours", "0", "--reason", "a day is over"]); // or a trace finds it there
  const env = { ...stage.env, RETENTION_DAYS: "40", RETENTION_DIR: directory };
  const of = (settings: Record<string, string>) =>
    billingSchedules(stage.billing, readConfig(["database", "redis"], settings)).find(
      ({ name }) => name === "retention",
    );
  expect(of(stage.env)).toBeUndefined();
  const result = await of(env)?.run(new AbortController().signal);
  expect(result).toMatchObject({ files: 1, deductions: 2, broken: 0 });
  expect(await stage.rows("SELECT actor, reason FROM data.operator_action WHERE action = 'retention'")).toEqual([
    { actor: "schedule", reason: "older than RETENTION_DAYS=40" },
  ]);
  // As the rows were made old by hand, so is the range's time made that of the id.
  await stage.rows("UPDATE data.retention_range SET to_at = now()");
  const [kept] = await stage.rows<{ deduction_id: string }>("SELECT deduction_id FROM data.usage_log");
  const traced = await run(["trace", ids.find((id) => id !== kept?.deduction_id) ?? ""], stage.env);
  expect(traced.stdout).toBe("");
  expect(traced.stderr).toMatch(/exported and removed[^]*zgrep ded_\w+ usage_log\/[\d-]+\.jsonl\.gz/);
});
