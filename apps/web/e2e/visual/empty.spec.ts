// A picture of every page that has nothing to show yet.
import { pages, visit } from "../pages.ts";
import { test } from "../stage.ts";
import { takePicture } from "./picture.ts";

test.use({ viewport: { width: 1440, height: 900 }, timezoneId: "UTC", reducedMotion: "reduce" });
test.describe.configure({ mode: "default" });

for (const { name, empty, logs } of pages) {
  if (empty === undefined) continue;
  test.describe(name, () => {
    test.use({ expectedErrors: logs ?? [] });
    test(`8 ${name} with nothing to show is drawn as it is laid out`, async ({ page, signIn }) => {
      await signIn(page, "admin");
      await visit(page, empty);
      await takePicture(page, `${name}-empty`);
    });
  });
}
