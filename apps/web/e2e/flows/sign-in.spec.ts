import { expect, test } from "../stage.ts";

test("7.1 each role signs in, and again with the session that it has or, when that was ended, anew", async ({
  page,
  signIn,
  stage,
}) => {
  for (const role of ["viewer", "support", "admin", "viewer", "admin"] as const) {
    // The page that is open goes to the sign-in by itself once it has no session, in the middle of ours.
    await page.goto("about:blank");
    if (role === "admin") await stage.rows("DELETE FROM data.operator_session");
    await page.context().clearCookies();
    await signIn(page, role);
    await page.goto("/");
    await expect(page).toHaveURL(/\/$/);
    await expect(page.getByRole("main").getByRole("heading", { level: 1 })).toHaveCount(1);
  }
});
