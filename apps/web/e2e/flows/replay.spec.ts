import type { Page } from "@playwright/test";
import { makeDeadLetters } from "../dead-letters.ts";
import { type Charged, expect, type Stage, test } from "../stage.ts";

async function confirm(page: Page, verb: string, reason: string, typed?: string): Promise<void> {
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Reason").fill(reason);
  if (typed !== undefined) await dialog.getByLabel(`Type ${typed} to confirm`).fill(typed);
  await dialog.getByRole("button", { name: verb }).dblclick();
}

async function statesOf(stage: Stage, letters: readonly Charged[]): Promise<unknown[]> {
  const ids = letters.map((one) => one.deduction_id);
  const sql = "SELECT state FROM data.dead_letter WHERE deduction_id = ANY($1) ORDER BY id";
  return (await stage.rows<{ state: string }>(sql, [ids])).map(({ state }) => state);
}

const main = (page: Page) => page.getByRole("main");

test("7.5 two operators at once have one effect, and what arrives between preview and confirmation is untouched", async ({
  page,
  browser,
  stage,
  signIn,
  baseURL,
}) => {
  test.slow(); // waits twice until a worker has tried what it cannot write
  const letters = await makeDeadLetters(stage, 2);
  const second = await browser.newPage(baseURL === undefined ? {} : { baseURL });
  const pages = [page, second] as const;
  await signIn(page, "support");
  await signIn(second, "admin");
  for (const one of pages) {
    await one.goto("/dead-letters?state=open&class=23514");
    await one.getByRole("checkbox", { name: "Select all rows of this page" }).click();
    await one.getByRole("button", { name: "Replay" }).click();
    await expect(one.getByRole("dialog").getByText("2 eligible")).toBeVisible();
  }
  const late = await makeDeadLetters(stage, 1);
  await Promise.all(pages.map((one) => confirm(one, "Replay", "both of us", "2")));
  for (const one of pages) await expect(main(one).getByText("done", { exact: true })).toBeVisible({ timeout: 20_000 });
  const acts = await stage.rows<{ result: { applied: number; already: number } }>(
    "SELECT result FROM data.operator_action WHERE reason = 'both of us'",
  );
  expect(acts.map(({ result }) => result.applied + result.already)).toEqual([2, 2]);
  expect(acts.reduce((sum, { result }) => sum + result.applied, 0)).toBe(2);
  expect(await statesOf(stage, [...letters, ...late])).toEqual(["replayed", "replayed", "open"]);
  await second.close();
  // The next test of this stage begins without it.
  const rest = await stage.rows<{ id: string }>("SELECT id FROM data.dead_letter WHERE state = 'open'");
  await stage.drawdown("discard", ...rest.flatMap(({ id }) => ["--id", id]), "--reason", "the test is over");
});

test("7.5 what a dead consumer holds is reprocessed", async ({ page, stage, signIn }) => {
  const first = await stage.charge(stage.key(0));
  await stage.settled(first.deduction_id);
  await stage.worker.stop();
  const charged = await stage.charge(stage.key(0));
  const billing = await stage.billing();
  const { shardOf, streamKey } = await import("@drawdown/billing");
  const stream = streamKey(shardOf(stage.key(0).account_balance_id, billing.numShards));
  await billing.redis.xreadgroup("GROUP", "billing_workers", "dead-worker", "COUNT", 10, "STREAMS", stream, ">");
  await signIn(page, "support");
  await page.goto("/pending?consumer=dead-worker");
  await page.getByRole("checkbox", { name: `Select ${charged.deduction_id}` }).click();
  await page.getByRole("button", { name: "Reprocess" }).click();
  await expect(page.getByRole("dialog").getByText(/1 (eligible|held by a live consumer)/)).toBeVisible();
  await confirm(page, "Reprocess", "its worker died");
  await expect(main(page).getByText("waiting", { exact: true })).toBeVisible();
  await stage.worker.start();
  await expect(main(page).getByText("done", { exact: true })).toBeVisible({ timeout: 40_000 });
  await stage.settled(charged.deduction_id);
});

test("7.5 the equivalent command does the same act: both are on record alike", async ({ page, stage, signIn }) => {
  const letters = await makeDeadLetters(stage, 2);
  await signIn(page, "admin");
  await page.goto("/dead-letters?state=open");
  for (const { deduction_id: id } of letters) await page.getByRole("checkbox", { name: `Select ${id}` }).click();
  await page.getByRole("button", { name: "Discard" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Reason").fill("it's $(no) `use`\n余额");
  await dialog.getByText("The same as a command", { exact: true }).click();
  const command = await dialog.getByRole("figure", { name: "The same as a command" }).locator("pre").innerText();
  await dialog.getByLabel("Type 2 to confirm").fill("2");
  await dialog.getByRole("button", { name: "Discard" }).click();
  await expect(dialog.getByText("2 were discarded.")).toBeVisible();
  expect(await statesOf(stage, letters)).toEqual(["discarded", "discarded"]);
  const ids = await stage.rows<{ id: string }>("SELECT id FROM data.dead_letter WHERE deduction_id = ANY($1)", [
    letters.map((one) => one.deduction_id),
  ]);
  await stage.drawdown("restore", ...ids.flatMap(({ id }) => ["--id", id]), "--reason", "once more");
  await stage.shell(command);
  const acts = await stage.rows(
    `SELECT actor, role, action, reason, targets, counts, before, after, result FROM data.operator_action
      WHERE action = 'discard' AND reason LIKE 'it''s%' ORDER BY started_at`,
  );
  expect(acts).toHaveLength(2);
  expect(acts[1]).toEqual(acts[0]);
});
