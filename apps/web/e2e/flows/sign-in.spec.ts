import { expect, test } from "../stage.ts";

test("7.1 each role signs in, and again with the session that it has", async ({ page, signIn }) => {
  for (const role of ["viewer", "support", "admin", "viewer"] as const) {
    await page.context().clearCookies();
    await signIn(page, role);
    await page.goto("/");
    await expect(page).toHaveURL(/\/$/);
    await expect(page.getByRole("main").getByRole("heading", { level: 1 })).toHaveCount(1);
  }
});
