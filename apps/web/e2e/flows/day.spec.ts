import type { Page } from "@playwright/test";
import { makeDeadLetters } from "../dead-letters.ts";
import { expect, test } from "../stage.ts";

const main = (page: Page) => page.getByRole("main");
const hop = (page: Page, name: string) => page.locator(`[data-hop="${name}"]`);
const trailRow = (page: Page, seq: string) =>
  page.getByRole("row").filter({ has: page.locator(`[data-seq="${seq}"]`) });

test("7 an operator's day: an account by search, its trail, a trace, a dead letter, its dry run, its replay, settled", async ({
  page,
  stage,
  signIn,
}) => {
  const key = stage.key(0);
  const settled = await stage.charge(key);
  await stage.settled(settled.deduction_id);
  const [letter = settled] = await makeDeadLetters(stage, 1);
  const after = await stage.charge(key);
  await stage.settled(after.deduction_id);
  await signIn(page, "support");

  await test.step("the account, by what its customer knows of it", async () => {
    await page.goto("/accounts");
    await page.getByLabel("Name, e-mail, id or key").fill(key.virtual_key);
    await page.getByLabel("Name, e-mail, id or key").press("Enter");
    const found = page.getByRole("table", { name: "Accounts" }).getByRole("row");
    await expect(found).toHaveCount(2);
    await found.nth(1).getByRole("link").first().click();
    await expect(page).toHaveURL(new RegExp(`/accounts/${key.account_balance_id}`));
  });

  await test.step("its trail says what is settled, and what is on its way and why", async () => {
    const link = trailRow(page, settled.account_seq);
    for (const text of [settled.balance_before, `-${settled.cost}`, settled.balance_after])
      await expect(link).toContainText(text);
    const waiting = page.getByRole("region", { name: `Seq ${letter.account_seq} is on its way` });
    await expect(waiting).toContainText("dead letter");
    await expect(waiting).toContainText(`-${letter.cost}`);
    await expect(page.getByRole("link", { name: `1 dead letter ${letter.cost}` })).toBeVisible();
    await link.getByRole("link").click();
  });

  await test.step("the trace of what settled, with the money moving through it", async () => {
    await expect(main(page).getByText("settled", { exact: true })).toBeVisible();
    for (const text of [settled.balance_before, `-${settled.cost}`, settled.balance_after])
      await expect(hop(page, "Charge")).toContainText(text);
  });

  await test.step("the dead letter, and what a replay would do", async () => {
    await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Dead letters" }).click();
    await page.getByRole("link", { name: letter.deduction_id }).click();
    await expect(main(page).getByText("dead-lettered", { exact: true })).toBeVisible();
    await expect(hop(page, "usage_log")).toHaveAttribute("data-look", "missing");
    await hop(page, "usage_log").getByRole("button", { name: "Replay" }).click();
    const dialog = page.getByRole("dialog");
    await expect(dialog.getByText("1 eligible")).toBeVisible();
    await expect(dialog.getByText("Exactly this one target")).toBeVisible();
    await dialog.getByLabel("Reason").fill("the constraint is gone");
    await dialog.getByRole("button", { name: "Replay" }).dblclick();
  });

  await test.step("its replay, once for a double click", async () => {
    await expect(page).toHaveURL(/\/operations\/[0-9a-f-]{36}$/);
    await expect(main(page).getByRole("heading", { level: 1, name: "Replay" })).toBeVisible();
    await expect(main(page).getByText("done", { exact: true })).toBeVisible();
    const acts = await stage.rows("SELECT result FROM data.operator_action WHERE reason = 'the constraint is gone'");
    expect(acts).toMatchObject([{ result: { applied: 1, failed: 0 } }]);
  });

  await test.step("it is settled: in its trace, and in the account's trail", async () => {
    await page.getByRole("link", { name: letter.deduction_id }).click();
    await expect(main(page).getByText("replayed", { exact: true })).toBeVisible();
    for (const name of ["Charge", "Stream entry", "Delivery", "usage_log", "Audit", "Ack"])
      await expect(hop(page, name)).toHaveAttribute("data-look", "reached");
    for (const text of [letter.balance_before, `-${letter.cost}`, letter.balance_after])
      await expect(hop(page, "Charge")).toContainText(text);
    await main(page).getByRole("link", { name: key.account_balance_id }).first().click();
    await expect(trailRow(page, letter.account_seq)).toContainText(letter.balance_after);
    await expect(page.getByText(`Seq ${letter.account_seq} is on its way`)).toHaveCount(0);
  });
});
