// What every list can do: be taken away as a file, be kept as a view, and have its rows chosen.
import { readFile } from "node:fs/promises";
import { waitFor } from "@drawdown/local-stack";
import type { Page } from "@playwright/test";
import { appendOlder } from "../older-entries.ts";
import { expect, test } from "../stage.ts";

type Row = Record<string, unknown>;

/** Exports the list that is open, and reads the file. */
async function exported(page: Page, format: "As CSV" | "As JSON lines"): Promise<Row[]> {
  await page.getByRole("button", { name: "Export" }).click();
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("menuitem", { name: format }).click(),
  ]);
  expect(download.suggestedFilename()).toMatch(format === "As CSV" ? /\.csv$/ : /\.jsonl$/);
  const lines = (await readFile(await download.path(), "utf8")).trimEnd().split("\n");
  if (format === "As JSON lines") return lines.map((line) => JSON.parse(line) as Row);
  const [columns = [], ...rows] = lines.map(cells);
  return rows.map((row) => Object.fromEntries(columns.map((column, n) => [column, row[n]])));
}

/** Of one line of CSV; in quotes, a quote stands twice. */
function cells(line: string): string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
    ([, quoted, plain = ""]) => quoted?.replaceAll('""', '"') ?? plain,
  );
}

test("7.6 a filtered list is taken away as CSV and as JSON lines: only what is filtered, every number exact", async ({
  page,
  stage,
  signIn,
}) => {
  const key = stage.key(1);
  for (const model of ["gpt-4o-mini", "gpt-4o", "gpt-4o-mini"]) {
    const { deduction_id: id } = await stage.charge(key, { model });
    await stage.settled(id);
  }
  await signIn(page, "viewer");
  await page.goto(`/deductions?key=${key.virtual_key}&model=gpt-4o-mini`);
  await expect(page.getByRole("table", { name: "Deductions" })).toBeVisible();
  const inBooks = await stage.rows(
    `SELECT deduction_id AS "deductionId", model, cost::text, balance_before::text AS "balanceBefore", balance_after::text AS "balanceAfter",
            account_seq::text AS "accountSeq", input_tokens::text AS "inputTokens"
       FROM data.usage_log WHERE virtual_key = $1 AND model = 'gpt-4o-mini' ORDER BY id DESC`,
    [key.virtual_key],
  );
  expect(inBooks.length).toBeGreaterThanOrEqual(2);
  for (const format of ["As CSV", "As JSON lines"] as const) {
    const rows = await exported(page, format);
    const known = rows.map((row) =>
      Object.fromEntries(Object.keys(inBooks[0] ?? {}).map((column) => [column, String(row[column])])),
    );
    expect(known, format).toEqual(inBooks);
  }
});

test("7.6 an 18-digit amount is whole in an exported trail", async ({ page, stage, signIn }) => {
  const account = stage.key(0).account_balance_id;
  const amount = "712345678.123456789";
  // Loaded, so that the credit is a link of its own.
  await stage.charge(stage.key(0));
  await stage.rows("SELECT data.post_credit($1, $2, 'adjustment', $3, 'a large one', 'a test')", [
    account,
    amount,
    crypto.randomUUID(),
  ]);
  await signIn(page, "viewer");
  await page.goto(`/accounts/${account}?category=adjustment`);
  await expect(page.getByRole("table", { name: "Audit trail" }).getByText(`+${amount}`).first()).toBeVisible();
  for (const format of ["As CSV", "As JSON lines"] as const)
    expect(
      (await exported(page, format)).map((row) => row["amount"]),
      format,
    ).toContain(amount);
  // As it was, for the other tests of this stage.
  await stage.rows("SELECT data.post_credit($1, $2, 'adjustment', $3, 'taken back', 'a test')", [
    account,
    `-${amount}`,
    crypto.randomUUID(),
  ]);
});

test("7.6 a view is kept for who saved it, opens where it was saved, and is deleted", async ({
  page,
  browser,
  baseURL,
  signIn,
}) => {
  const views = (of: Page) => of.getByRole("button", { name: "Saved views" });
  const view = (of: Page, name: string) => of.getByRole("button", { name, exact: true });
  const save = async (of: Page, name: string) => {
    await views(of).click();
    await of.getByLabel("Name of the view").fill(name);
    await of.getByRole("button", { name: "Save this view" }).click();
    await expect(view(of, name)).toBeVisible();
  };
  await signIn(page, "viewer");
  await page.goto("/deductions?model=gpt-4o-mini");
  await save(page, "small ones");

  const other = await browser.newPage(baseURL === undefined ? {} : { baseURL });
  await signIn(other, "support");
  await other.goto("/deductions");
  await save(other, "his own");
  await expect(view(other, "small ones")).toHaveCount(0);
  await other.close();

  await page.goto("/deductions");
  await views(page).click();
  await view(page, "small ones").click();
  await expect(page).toHaveURL(/\/deductions\?model=gpt-4o-mini$/);
  await expect(page.getByRole("button", { name: "Remove the filter Model" })).toBeVisible();
  await views(page).click();
  await expect(view(page, "his own")).toHaveCount(0);
  await page.getByRole("button", { name: "Delete the view small ones" }).click();
  await expect(view(page, "small ones")).toHaveCount(0);
});

test("7.6 a choice of rows survives paging, all that match are counted, and what arrives later is not among them", async ({
  page,
  stage,
  signIn,
}) => {
  const accountId = crypto.randomUUID();
  const states = () =>
    stage.rows("SELECT state, count(*)::int FROM data.dead_letter WHERE account_id = $1 GROUP BY 1 ORDER BY 1", [
      accountId,
    ]);
  const append = async (count: number, name: string, all: number) => {
    await appendOlder(stage, { accountId, count, name: `${name}-${accountId}`, cost: "no number" });
    const letters = async () =>
      (await stage.rows("SELECT FROM data.dead_letter WHERE account_id = $1", [accountId])).length === all;
    await waitFor(letters, { timeoutMs: 30_000, what: `${all} dead letters` });
  };
  await append(60, "chosen", 60);
  await signIn(page, "support");
  await page.goto(`/dead-letters?account=${accountId}`);
  await expect(page.getByText("60 rows")).toBeVisible();
  const boxes = page.getByRole("checkbox", { name: /^Select chosen-/ });
  await expect(boxes).toHaveCount(50);
  for (const n of [0, 1]) await boxes.nth(n).check();
  await page.getByRole("button", { name: "Next" }).click();
  await expect(boxes).toHaveCount(10);
  await boxes.first().check();
  await expect(page.getByText("3 rows selected")).toBeVisible();
  await page.getByRole("button", { name: "Previous" }).click();
  await expect(boxes).toHaveCount(50);
  for (const n of [0, 1]) await expect(boxes.nth(n)).toBeChecked();
  await expect(boxes.nth(2)).not.toBeChecked();
  await page.getByRole("button", { name: "Select all 60 matching rows" }).click();
  await expect(page.getByText("All 60 matching rows are selected")).toBeVisible();

  await append(1, "late", 61);
  await page.getByRole("button", { name: "Discard" }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog.getByText("Exactly these 60 targets")).toBeVisible();
  await dialog.getByLabel("Reason").fill("they never become numbers");
  await dialog.getByLabel("Type 60 to confirm").fill("60");
  await dialog.getByRole("button", { name: "Discard" }).click();
  await expect(dialog.getByText("60 were discarded.")).toBeVisible();
  expect(await states()).toEqual([
    { state: "discarded", count: 60 },
    { state: "open", count: 1 },
  ]);
});
