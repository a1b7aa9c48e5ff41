// Every page with the demo's data. It is opened once: its first load is weighed, axe looks at it in every look, and the visual suite gets
// its pictures.
import { pages, picturedLooks, stands, visit } from "../pages.ts";
import { expect, test } from "../stage.ts";
import { takePicture } from "../visual/picture.ts";
import { expectLight } from "../weight.ts";
import { expectAccessible } from "./axe.ts";

test.use({ demo: true, timezoneId: "UTC" });

test("7.9 the demo's data are in the console's stores while a worker runs", async ({ stage }) => {
  expect(await stage.rows("SELECT FROM data.dead_letter WHERE state = 'open'")).toHaveLength(3);
});

for (const entry of pages) {
  const { name, filled, signedOut, prepare, logs } = entry;
  test.describe(name, () => {
    test.use({ expectedErrors: logs ? [logs] : [] });
    test(`8 ${name} is accessible with data, light and dark, wide and narrow, and light to load`, async ({
      page,
      stage,
      signIn,
    }) => {
      if (!signedOut) await signIn(page, "admin");
      await prepare?.(stage);
      await visit(page, filled);
      await expectLight(page, name);
      const wanted = picturedLooks(entry);
      await expectAccessible(page, name, {
        inLook: async (look) => {
          await stands(page, filled.shows);
          const picture = wanted[look.name];
          if (picture !== undefined) await takePicture(page, picture, { signedOut: signedOut ?? false });
        },
      });
    });
  });
}
