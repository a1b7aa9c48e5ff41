// Every page that can be empty, opened once: for axe in every look, and for its picture.
import { pages, stands, visit } from "../pages.ts";
import { test } from "../stage.ts";
import { takePicture } from "../visual/picture.ts";
import { expectAccessible } from "./axe.ts";

test.use({ timezoneId: "UTC" });
// One after the other: who opens a stage for them is one.
test.describe.configure({ mode: "default" });

for (const { name, empty } of pages) {
  if (empty === undefined) continue;
  test(`8 ${name} is accessible with nothing to show, light and dark, wide and narrow`, async ({ page, signIn }) => {
    await signIn(page, "admin");
    await visit(page, empty);
    await expectAccessible(page, name, {
      inLook: async (look) => {
        await stands(page, empty.shows);
        if (look.name === "light") await takePicture(page, `${name}-empty`);
      },
    });
  });
}
