import { openAlert, resolveAlert } from "@drawdown/db";
import { expect, test } from "../stage.ts";

test("7 an alert appears by itself, leads to what it is about, and is closed when it is over", async ({
  page,
  stage,
  signIn,
}) => {
  const account = stage.key(0).account_balance_id;
  const hostile = `<img src=x onerror="alert(1)"> \u202e ${"x".repeat(10_000)}`;
  await signIn(page, "viewer");
  await page.goto("/alerts");
  const open = page.getByRole("region", { name: "Open" });
  await expect(open).toBeVisible();
  const details = { class: "foreign_write", account_id: account, shard: 3 };
  await openAlert(stage.db, { level: "critical", kind: "drift", key: account, message: hostile, details });
  const card = open.getByRole("article", { name: "drift" });
  await expect(card).toContainText("Something else wrote its key");
  await expect(card.getByRole("link", { name: `Account ${account}` })).toHaveAttribute("href", `/accounts/${account}`);
  await expect(card.getByRole("link", { name: "Shard 3" })).toHaveAttribute("href", "/streams#shard-3");
  const wide = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(await wide()).toBe(0);
  await page.setViewportSize({ width: 320, height: 700 });
  expect(await wide()).toBe(0);
  await page.setViewportSize({ width: 1280, height: 800 });
  await resolveAlert(stage.db, "drift", account);
  await expect(card).toHaveCount(0);
  await expect(page.getByRole("table", { name: "Closed" })).toContainText(account);
});
