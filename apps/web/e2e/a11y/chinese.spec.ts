import { consolePages, notFound } from "../pages.ts";
import { expect, test } from "../stage.ts";

test.use({ expectedErrors: [notFound] });

test("8 every page says in what language it is, and speaks it", async ({ page, stage, signIn }) => {
  await signIn(page, "viewer");
  const value = encodeURIComponent("language=zh-CN");
  await page.context().addCookies([{ name: "drawdown.preferences", value, url: stage.consoleUrl }]);
  for (const { name, filled } of consolePages) {
    await page.goto(filled.path);
    await expect(page.locator("html"), name).toHaveAttribute("lang", "zh-CN");
    // Names and ids of things are in no language; what the page itself says is.
    await expect(page.getByRole("navigation").first(), name).toContainText("账户");
    await expect(page.getByRole("main"), name).toContainText(/\p{Script=Han}/u);
  }
});
