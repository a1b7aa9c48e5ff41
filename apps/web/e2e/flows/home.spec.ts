import AxeBuilder from "@axe-core/playwright";
import { expect, test } from "@playwright/test";

const WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

for (const colorScheme of ["light", "dark"] as const) {
  for (const width of [320, 1440]) {
    test(`the first page reads well in ${colorScheme} at ${width} px`, async ({ page }) => {
      const errors: string[] = [];
      page.on("pageerror", (error) => errors.push(error.message));
      page.on("console", (message) => {
        if (message.type() === "error") errors.push(message.text());
      });
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 800 });
      await page.goto("/");

      await expect(page.getByRole("main").getByRole("heading", { level: 1 })).toHaveText(
        "The operator console is not built yet",
      );
      const overflow = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      expect(overflow).toBe(0);
      // The scheme is really on: the ground is dark in dark, light in light.
      const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const brightness = Number(/\d+/.exec(ground)?.[0]);
      expect(brightness > 128).toBe(colorScheme === "light");

      const axe = await new AxeBuilder({ page }).withTags(WCAG).analyze();
      expect(axe.violations).toEqual([]);
      // An empty page has no violations either.
      expect(axe.passes.length).toBeGreaterThan(10);
      expect(axe.passes.map((check) => check.id)).toContain("color-contrast");
      expect(errors).toEqual([]);
    });
  }
}
