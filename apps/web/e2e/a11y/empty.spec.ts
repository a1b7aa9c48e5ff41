// Every page that can be empty, and every page in Chinese.
import { consolePages, pages, stands, visit } from "../pages.ts";
import { expect, test } from "../stage.ts";
import { expectAccessible, lookAt, otherLooks } from "./axe.ts";

test.describe.configure({ mode: "default" });

for (const { name, empty, logs } of pages) {
  if (empty === undefined) continue;
  test.describe(name, () => {
    test.use({ expectedErrors: logs ?? [] });
    test(`8 ${name} is accessible with nothing to show, light and dark, wide and narrow`, async ({ page, signIn }) => {
      await signIn(page, "viewer");
      for (const [at, look] of otherLooks.entries()) {
        await lookAt(page, look);
        await (at === 0 ? visit(page, empty) : stands(page, empty.shows));
        await expectAccessible(page, `${name}, ${look.colorScheme}, ${look.width}`);
      }
    });
  });
}

test.describe("in Chinese", () => {
  test.use({ expectedErrors: [/status of 404/] });
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
});
