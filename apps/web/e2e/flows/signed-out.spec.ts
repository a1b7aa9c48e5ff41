import { expect, test } from "../stage.ts";

for (const path of ["/", "/accounts", "/trace/ded_1_a?tab=raw", "/settings/operators"]) {
  test(`7.1 signed out, ${path} redirects to the sign-in page with 307`, async ({ request }) => {
    const answer = await request.get(path, { maxRedirects: 0 });
    expect(answer.status()).toBe(307);
    expect(new URL(answer.headers()["location"] ?? "", "http://x").pathname).toBe("/sign-in");
  });
}

test("7.1 the sign-in page says what it is", async ({ page }) => {
  await page.goto("/");
  await expect(page).toHaveURL(/\/sign-in$/);
  await expect(page.getByRole("main").getByRole("heading", { level: 1 })).toHaveCount(1);
});
