// A picture of every page with the demo's data, and of some in the dark and at a phone's width.
import { pages, stands, visit } from "../pages.ts";
import { test } from "../stage.ts";
import { takePicture } from "./picture.ts";

test.use({ demo: true, viewport: { width: 1440, height: 900 }, timezoneId: "UTC", reducedMotion: "reduce" });
test.describe.configure({ mode: "default" });

const dark = ["overview", "account", "trace"];
const narrow = ["overview", "account", "trace", "dead-letters"];

for (const { name, filled, signedOut, logs } of pages) {
  test.describe(name, () => {
    test.use({ expectedErrors: logs ?? [] });
    test(`8 ${name} with data is drawn as it is laid out`, async ({ page, stage, signIn }) => {
      if (!signedOut) await signIn(page, "admin");
      await filled.prepare?.(stage);
      await visit(page, filled);
      await takePicture(page, `${name}-filled`, { signedOut: signedOut ?? false });
      if (dark.includes(name)) {
        await page.emulateMedia({ colorScheme: "dark" });
        await takePicture(page, `${name}-dark`);
        await page.emulateMedia({ colorScheme: "light" });
      }
      if (narrow.includes(name)) {
        await page.setViewportSize({ width: 320, height: 720 });
        await stands(page, filled.shows);
        await takePicture(page, `${name}-narrow`);
      }
    });
  });
}
