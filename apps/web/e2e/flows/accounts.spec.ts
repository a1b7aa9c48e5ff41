import { formatUnits, parsePrice, parseUnits } from "@drawdown/billing";
import type { Page } from "@playwright/test";
import { expect, type Stage, test } from "../stage.ts";

const figure = (page: Page, label: string) =>
  page.getByRole("main").locator("dl > div").filter({ hasText: label }).locator("[data-amount]").first();

const row = (page: Page, seq: string) =>
  page
    .getByRole("table", { name: "Audit trail" })
    .getByRole("row")
    .filter({ has: page.locator(`[data-seq="${seq}"]`) });

async function chargeSettled(stage: Stage, index: number) {
  const charged = await stage.charge(stage.key(index));
  await stage.settled(charged.deduction_id);
  return charged;
}

/** What both stores have, once nothing is on its way. */
async function expectBoth(page: Page, balance: string) {
  await expect(figure(page, "Real-time balance (Redis)")).toHaveText(balance, { timeout: 20_000 });
  await expect(figure(page, "Settled balance (Postgres)")).toHaveText(balance, { timeout: 20_000 });
}

test("7.3 an account shows its charge, and why it cost that to the last digit", async ({ page, stage, signIn }) => {
  const key = stage.key(0);
  const charged = await chargeSettled(stage, 0);
  await signIn(page, "viewer");
  await page.goto(`/accounts/${key.account_balance_id}`);
  const link = row(page, charged.account_seq);
  await expect(link).toContainText(`-${charged.cost}`);
  await expect(link).toContainText(charged.balance_before);
  await expect(link).toContainText(charged.balance_after);
  await expect(link.getByRole("link")).toHaveAttribute("href", `/trace/${charged.deduction_id}`);
  await link.getByRole("button", { name: `Details of seq ${charged.account_seq}` }).click();
  const why = page.getByRole("table", { name: "Why it cost that" });
  const amounts = why.locator("tbody tr td:last-child [data-amount]");
  await expect(amounts).toHaveCount(2);
  const lines = await amounts.allTextContents();
  const [sum = "", cost = ""] = await why.locator("tfoot [data-amount]").allTextContents();
  expect(lines.reduce((picos, line) => picos + parsePrice(line), 0n)).toBe(parsePrice(sum));
  expect(parsePrice(sum)).toBe(parseUnits(cost) * 1_000n);
  expect(cost).toBe(charged.cost);
});

test("7.3 a credit and a refund are seen live: both balances converge on the same digits", async ({
  page,
  stage,
  signIn,
}) => {
  const charged = await chargeSettled(stage, 1);
  await signIn(page, "admin");
  await page.goto(`/accounts/${stage.key(1).account_balance_id}`);
  await expectBoth(page, charged.balance_after);

  await page.getByRole("button", { name: "Credit…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Amount in USD").fill("12.3456789012");
  await expect(dialog.getByText("A decimal number with at most 9 decimals")).toBeVisible();
  await dialog.getByLabel("Amount in USD").fill("888888888.123456789");
  const credited = formatUnits(parseUnits(charged.balance_after) + parseUnits("888888888.123456789"));
  await expect(dialog.getByText(credited).first()).toBeVisible();
  await dialog.getByLabel("Reason").fill("an 18-digit balance");
  await dialog.getByRole("button", { name: "Give the credit" }).click();
  await expect(dialog.getByText("+888888888.123456789")).toBeVisible();
  await dialog.getByRole("button", { name: "Close" }).last().click();
  await expectBoth(page, credited);

  await row(page, charged.account_seq)
    .getByRole("button", { name: `Details of seq ${charged.account_seq}` })
    .click();
  await page.getByRole("button", { name: "Refund…" }).click();
  await expect(dialog.getByLabel("Amount in USD")).toHaveValue(charged.cost);
  await dialog.getByLabel("Amount in USD").fill("0.000000001");
  await dialog.getByLabel("Reason").fill("a nano back");
  await dialog.getByRole("button", { name: "Refund", exact: true }).click();
  await expect(dialog.getByText("Refunded: 0.000000001")).toBeVisible();
  await dialog.getByRole("button", { name: "Close" }).last().click();
  await expectBoth(page, formatUnits(parseUnits(credited) + 1n));
  await page.getByRole("button", { name: "Show them" }).click();
  await expect(page.getByRole("table", { name: "Audit trail" })).toContainText("a nano back");
  await page.getByRole("navigation", { name: "Sections" }).getByRole("link", { name: "Operations" }).click();
  await expect(page.getByRole("table", { name: "Operations" })).toContainText("an 18-digit balance");
});

test("7.3 a link that is gone from both stores is drawn as a gap in its place, and stays when it is accepted", async ({
  page,
  stage,
  signIn,
}) => {
  const charges = [];
  for (let n = 0; n < 3; n++) charges.push(await chargeSettled(stage, 2));
  const [, gone] = charges;
  const [lost] = await stage.rows<{ stream_key: string; stream_entry_id: string }>(
    "DELETE FROM data.account_balance_audit WHERE deduction_id = $1 RETURNING stream_key, stream_entry_id",
    [gone?.deduction_id],
  );
  await stage.rows("DELETE FROM data.usage_log WHERE deduction_id = $1", [gone?.deduction_id]);
  await (await stage.billing()).redis.xdel(lost?.stream_key ?? "", lost?.stream_entry_id ?? "");
  await signIn(page, "admin");
  await page.goto(`/accounts/${stage.key(2).account_balance_id}`);
  const seq = gone?.account_seq ?? "";
  const gap = page.getByRole("region", { name: `Seq ${seq} is missing` });
  await expect(gap).toBeVisible({ timeout: 20_000 });
  // Between its neighbours: what follows the row above it, before the row under it.
  const order = await page
    .getByRole("table", { name: "Audit trail" })
    .locator(`[data-seq], section[aria-label$="is missing"]`)
    .evaluateAll((all) => all.map((one) => one.getAttribute("data-seq") ?? "gap"));
  const at = order.indexOf("gap");
  expect([order[at - 1], order[at + 1]]).toEqual([`${Number(seq) + 1}`, `${Number(seq) - 1}`]);
  await gap.getByRole("button", { name: "Accept this break…" }).click();
  await page.getByRole("dialog").getByLabel("Reason").fill("deleted by this test");
  await page.getByRole("dialog").getByRole("button", { name: "Accept", exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Close" }).last().click();
  await expect(gap).toContainText("deleted by this test");
});

test.describe(() => {
  test.use({ timezoneId: "Asia/Kolkata" });
  test("7.8 times are told in Asia/Kolkata, and a moment there is found in the trail", async ({
    page,
    stage,
    signIn,
  }) => {
    const charged = await chargeSettled(stage, 0);
    const [made] = await stage.rows<{ text: string; minute: string }>(
      `SELECT to_char(to_timestamp(split_part(stream_entry_id, '-', 1)::bigint / 1000) AT TIME ZONE 'Asia/Kolkata', 'YYYY-MM-DD HH24:MI:SS') AS text
         FROM data.account_balance_audit WHERE deduction_id = $1`,
      [charged.deduction_id],
    );
    await signIn(page, "viewer");
    await page.goto(`/accounts/${stage.key(0).account_balance_id}`);
    await expect(row(page, charged.account_seq)).toContainText(`${made?.text} UTC+05:30`);
    await page.getByLabel("Moment (UTC+05:30)").fill((made?.text ?? "").replace(" ", "T").replace(/..$/, "59"));
    await page.getByRole("button", { name: "Balance then" }).click();
    await expect(page.getByText("Balance as of")).toContainText(charged.balance_after);
  });
});

test("7.3 an account is frozen with a reason, refuses what it is asked, and says so", async ({
  page,
  stage,
  signIn,
}) => {
  const key = stage.key(3);
  await signIn(page, "admin");
  await page.goto(`/accounts/${key.account_balance_id}`);
  await page.getByRole("button", { name: "Freeze…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Reason").fill("a stolen card");
  await dialog.getByRole("button", { name: "Freeze", exact: true }).click();
  await expect(dialog.getByText("The account is frozen")).toBeVisible();
  await dialog.getByRole("button", { name: "Close" }).last().click();
  await expect(page.getByRole("main").locator("header").getByText("frozen", { exact: true })).toBeVisible();
  await expect(stage.charge(key)).rejects.toThrow("account_frozen");
  await page.getByRole("button", { name: "Unfreeze…" }).click();
  await dialog.getByLabel("Reason").fill("found again");
  await dialog.getByRole("button", { name: "Unfreeze", exact: true }).click();
  await expect(dialog.getByText("The account is active again.")).toBeVisible();
});

test("7.2 an owner's id leads to its account, an unknown id says what to do, and a viewer sees why he may not act", async ({
  page,
  stage,
  signIn,
}) => {
  const key = stage.key(0);
  await signIn(page, "viewer");
  await page.goto(`/accounts/${key.owner_id}`);
  await expect(page).toHaveURL(new RegExp(`/accounts/${key.account_balance_id}$`));
  const credit = page.getByRole("button", { name: "Credit…" });
  await expect(credit).toBeDisabled();
  await expect(credit).toHaveAccessibleDescription("This needs the role admin; yours is viewer.");
  await page.goto("/accounts/no-such-account");
  await expect(page.getByText("No account has this id")).toBeVisible();
  await expect(page.getByRole("link", { name: "Trace this id" })).toHaveAttribute("href", "/trace/no-such-account");
});
