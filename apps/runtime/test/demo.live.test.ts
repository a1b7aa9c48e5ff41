import { afterAll, beforeAll, expect, test } from "vitest";
import { type OperatorStage, openOperatorStage } from "./operator-stage.ts";

let stage: OperatorStage;

beforeAll(async () => {
  stage = await openOperatorStage();
  await stage.json(["seed"]);
}, 60_000);
afterAll(() => stage.stop());

const counts = `SELECT (SELECT count(*)::int FROM data.usage_log) AS deductions,
  (SELECT count(*)::int FROM data.usage_log WHERE created_at < now() - interval '1 day') AS past,
  (SELECT count(*)::int FROM data.usage_log WHERE account_seq IS NOT NULL) AS linked,
  (SELECT array_agg(error_class ORDER BY error_class) FROM data.dead_letter WHERE state = 'open') AS classes,
  (SELECT count(*)::int FROM data.dead_letter WHERE state = 'replayed') AS replayed,
  (SELECT array_agg(kind ORDER BY kind) FROM data.alert WHERE resolved_at IS NULL AND kind <> 'no_consumer') AS alerts,
  (SELECT array_agg(counts ORDER BY started_at) FROM data.operator_action WHERE action = 'replay') AS replays,
  (SELECT count(*)::int FROM data.refusal) AS refusals,
  (SELECT count(*)::int FROM data.account_balance WHERE status = 'frozen') AS frozen,
  (SELECT count(*)::int FROM data.account_balance WHERE overdue_amount > 0) AS overdue,
  (SELECT count(*)::int FROM data.account_balance_audit) AS audits,
  (SELECT count(*)::int FROM data.operator_action) AS acts`;

test("drawdown demo shows everything without a worker, adds nothing the second time, and the books stay true", async () => {
  const { code, out, stderr } = await stage.json(["demo"]);
  expect(code, stderr).toBe(0);
  expect(out).toMatchObject({ dead_letters: 3 });
  const [made] = await stage.rows(counts);
  expect(made).toMatchObject({
    replayed: 5,
    refusals: 1,
    frozen: 1,
    overdue: 1,
    alerts: ["dead_letters", "unaccounted"],
  });
  expect(made?.["deductions"]).toBeGreaterThan(300);
  expect(made?.["past"]).toBeGreaterThan(150);
  expect(made?.["linked"]).toBeGreaterThan(50);
  expect(new Set(made?.["classes"] as string[]).size).toBe(3);
  expect(made?.["replays"]).toMatchObject([
    { targets: 5, applied: 5, failed: 0 },
    { targets: 3, failed: 3 },
  ]);
  const { out: pending } = await stage.json(["pending"]);
  expect(pending["entries"]).toMatchObject([{ consumer: "worker-that-died" }]);
  const { out: stats } = await stage.json(["stats"]);
  expect(JSON.stringify(stats)).not.toContain('"name":"demo"');

  const again = await stage.json(["demo"]);
  expect(again.code, again.stderr).toBe(0);
  expect((await stage.rows(counts))[0]).toEqual(made);
  expect((await stage.json(["pending"])).out["entries"]).toHaveLength(1);

  const reconciled = await stage.json(["reconcile"]);
  const findings = reconciled.out["findings"] as { class: string }[];
  expect(findings.filter((finding) => finding.class !== "unaccounted_entry")).toEqual([]);
  const { out: chains } = await stage.json(["verify-chain"]);
  expect(chains["problems"]).toMatchObject([{ kind: "unaccounted", links: ["ded_demo_unaccounted"] }]);
}, 120_000);
