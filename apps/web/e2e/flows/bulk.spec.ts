// A bulk act as its operator steers it: each step waits for what this test does, so that nothing depends on how fast a machine is.
import { proveAll, shardOf } from "@drawdown/billing";
import type { Page } from "@playwright/test";
import { ackUnwritten, appendOlder } from "../older-entries.ts";
import { expect, type Stage, test } from "../stage.ts";

/** An executor takes so many targets a step, and looks between two of them whether it is to go on. */
const STEP = 100;

const main = (page: Page) => page.getByRole("main");

async function confirm(page: Page, verb: string, reason: string, typed?: string): Promise<void> {
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Reason").fill(reason);
  if (typed !== undefined) await dialog.getByLabel(`Type ${typed} to confirm`).fill(typed);
  await dialog.getByRole("button", { name: verb, exact: true }).click();
}

async function steer(page: Page, verb: "Pause" | "Resume" | "Abort", state: string): Promise<void> {
  await page.getByRole("button", { name: verb, exact: true }).click();
  await confirm(page, verb, `to ${verb.toLowerCase()} it`);
  await expect(main(page).getByText(state, { exact: true })).toBeVisible();
}

/** Unaccounted entries of two accounts in the order in which an act takes them: a step of the first, a step and a half of the second. */
async function loseSight(stage: Stage): Promise<{ ids: string[]; second: string }> {
  const { numShards } = await stage.billing();
  const accounts = [stage.key(0), stage.key(1)].map((key) => key.account_balance_id);
  const [first = "", second = ""] = accounts.toSorted((a, b) => shardOf(a, numShards) - shardOf(b, numShards));
  await stage.worker.stop();
  const name = `bulk-${crypto.randomUUID()}`;
  const cost = "0.000000001";
  const ids = [
    ...(await appendOlder(stage, { accountId: first, count: STEP, name: `${name}-a`, cost })),
    ...(await appendOlder(stage, { accountId: second, count: STEP * 1.5, name: `${name}-b`, cost })),
  ];
  for (const accountId of [first, second]) await ackUnwritten(stage, accountId);
  await proveAll(await stage.billing());
  return { ids, second };
}

test("7.5 a bulk act is paused, goes on, and is aborted; each target says what became of it, and what was left is replayed", async ({
  page,
  stage,
  signIn,
}) => {
  const { ids, second } = await loseSight(stage);
  await signIn(page, "support");
  await page.goto("/streams");
  await page.getByRole("button", { name: "Reprocess all" }).click();
  await expect(page.getByRole("dialog").getByText("250 eligible")).toBeVisible();
  await confirm(page, "Reprocess", "acked by an older worker", "250");
  await expect(main(page).getByText("waiting", { exact: true })).toBeVisible();
  await expect(main(page).getByText("0 of 250")).toBeVisible();
  const id = page.url().split("/").at(-1);

  await steer(page, "Pause", "paused");
  // The second account's targets wait for this lock, once they are reached.
  const lock = await stage.db.$client.connect();
  await lock.query("BEGIN");
  await lock.query("SELECT FROM data.account_balance WHERE id = $1 FOR UPDATE", [second]);
  await stage.worker.start();
  await expect(main(page).getByText("0 of 250")).toBeVisible();
  await steer(page, "Resume", "running");
  await expect(main(page).getByText("100 of 250")).toBeVisible();
  await steer(page, "Abort", "aborting");
  await lock.query("COMMIT");
  lock.release();
  await expect(main(page).getByText("aborted", { exact: true })).toBeVisible();
  await expect(main(page).getByText("200 of 250")).toBeVisible();

  for (const [outcome, count] of [
    ["applied", 200],
    ["left", 50],
  ] as const) {
    await page.goto(`/operations/${id}?outcome=${outcome}`);
    const items = page.getByRole("region", { name: "Targets, one by one" });
    await expect(items.getByText(`${count} rows`)).toBeVisible();
    await expect(items.getByRole("table").getByText(outcome, { exact: true })).toHaveCount(50);
  }
  const acts =
    "SELECT action, actor LIKE 'support%' AS own FROM data.operator_action WHERE targets @> $1 ORDER BY started_at";
  expect(await stage.rows(acts, [JSON.stringify([id])])).toEqual(
    ["pause", "resume", "abort"].map((action) => ({ action, own: true })),
  );

  await page.getByRole("button", { name: "Replay what failed (50)" }).click();
  await expect(page.getByRole("dialog").getByText("50 eligible")).toBeVisible();
  await confirm(page, "Replay", "what the abort left", "50");
  await expect(page).not.toHaveURL(new RegExp(`${id}`));
  await expect(main(page).getByText("done", { exact: true })).toBeVisible();
  await expect(main(page).getByText("50 of 50")).toBeVisible();
  const settled = "SELECT FROM data.usage_log WHERE deduction_id = ANY($1) AND settled_at IS NOT NULL";
  expect(await stage.rows(settled, [ids])).toHaveLength(250);
  expect(await stage.drawdown("replay", "--unaccounted", "--dry-run")).toContain("No targets.");
  await page.goto("/streams");
  await expect(page.getByRole("row", { name: /Shard 15/ })).toBeVisible();
  await expect(page.getByRole("button", { name: "Reprocess all" })).toHaveCount(0);
});
