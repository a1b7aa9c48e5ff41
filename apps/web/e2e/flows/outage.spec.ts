// Postgres is away when a page is asked for. (Every page from under which a store goes: e2e/a11y/away.spec.ts; the worker too: overview.spec.ts.)
import { expect, test } from "../stage.ts";

test.use({ expectedErrors: [/./] });

test("7 a page that is asked for while Postgres is away says so, and comes by itself when it is back", async ({
  page,
  stage,
  signIn,
}) => {
  test.setTimeout(600_000);
  const { deduction_id: id } = await stage.charge(stage.key(0));
  await stage.settled(id);
  await signIn(page, "admin");
  await stage.postgres.stop();
  await page.goto("/deductions");
  await expect(page.getByRole("main").getByRole("heading", { level: 1 })).toHaveCount(1);
  await expect(page.getByText("Postgres cannot be reached").last()).toBeVisible({ timeout: 30_000 });
  await stage.postgres.start();
  await expect(page.getByRole("main").getByText(id).first()).toBeVisible({ timeout: 60_000 });
});
