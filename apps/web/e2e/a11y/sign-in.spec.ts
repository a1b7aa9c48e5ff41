import { test } from "../stage.ts";
import { expectAccessible } from "./axe.ts";

for (const colorScheme of ["light", "dark"] as const) {
  for (const width of [320, 1440]) {
    test(`the sign-in page is accessible in ${colorScheme} at ${width} px`, async ({ page }) => {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 800 });
      await page.goto("/sign-in");
      await expectAccessible(page);
    });
  }
}
