import { expect, test } from "../stage.ts";

test.use({ demo: true });

test("7.5 what is unaccounted is listed, and settled once by reprocessing it", async ({ page, stage, signIn }) => {
  await signIn(page, "support");
  await page.goto("/streams");
  await page.getByRole("button", { name: "Reprocess all" }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog.getByRole("list").first()).toContainText("1");
  await dialog.getByLabel("Reason").fill("acked by an older worker");
  await dialog.getByRole("button", { name: "Reprocess", exact: true }).click();
  await expect(page).toHaveURL(/\/operations\/[0-9a-f-]{36}$/);
  await expect
    .poll(async () => await stage.drawdown("replay", "--unaccounted", "--dry-run"), { timeout: 30_000 })
    .toContain("No targets.");
  await page.goto("/streams");
  await expect(page.getByRole("button", { name: "Reprocess all" })).toHaveCount(0);
});
