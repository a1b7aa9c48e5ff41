// The console's own server fails: a table that it reads is gone for a moment.
import { expect, type Stage, test } from "../stage.ts";

test.use({ expectedErrors: [/status of 500/] });

async function without(stage: Stage, table: string, work: () => Promise<void>): Promise<void> {
  await stage.rows(`ALTER TABLE data.${table} RENAME TO ${table}_away`);
  try {
    await work();
  } finally {
    await stage.rows(`ALTER TABLE data.${table}_away RENAME TO ${table}`);
  }
}

const FAILED = "The server failed";

test("7 what the server fails to read says so in its place, keeps what it had, and comes by itself; the rest stands", async ({
  page,
  stage,
  signIn,
}) => {
  const key = stage.key(0);
  const request = { provider: "openai", model: "gpt-4o", request_id: `refused-${crypto.randomUUID()}` };
  const usage = { prompt_tokens: 2_000_000_000, completion_tokens: 1 };
  expect((await stage.post("/v1/charges", key, { ...request, usage })).status).toBe(402);
  await signIn(page, "viewer");
  const main = page.getByRole("main");
  const refused = main.getByText(request.request_id).first();
  const settled = main.locator("dl > div").filter({ hasText: "Settled balance (Postgres)" }).first();
  await expect(async () => {
    await page.goto(`/accounts/${key.account_balance_id}?tab=refusals`);
    await expect(refused).toBeVisible({ timeout: 5_000 });
  }).toPass();

  // While it is open: who comes back to a page sees what is new, so it asks again.
  await page.evaluate(() => Object.assign(window, { sameDocument: true }));
  await without(stage, "refusal", async () => {
    await expect(async () => {
      await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange", { bubbles: true })));
      await expect(main.getByText(FAILED)).toBeVisible({ timeout: 1_000 });
    }).toPass();
    await expect(refused).toBeVisible();
    await expect(settled).toContainText(/\d\.\d{9}/);
  });
  await expect(main.getByText(FAILED)).toHaveCount(0);
  await expect(refused).toBeVisible();
  expect(await page.evaluate(() => "sameDocument" in window)).toBe(true);

  // And when it is opened meanwhile.
  await without(stage, "refusal", async () => {
    await page.reload();
    await expect(main.getByText(FAILED)).toHaveCount(1);
    await expect(refused).toHaveCount(0);
    await expect(settled).toContainText(/\d\.\d{9}/);
  });
  await expect(main.getByText(FAILED)).toHaveCount(0);
  await expect(refused).toBeVisible();
});
