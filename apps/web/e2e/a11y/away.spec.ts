// Every page from under which a store went away, and came back. It is opened once: for what it says and keeps, for axe in every look, for
// its picture, and for how it recovers.
import { test } from "../stage.ts";
import { closeAll, expectRecovered, expectSaidAndKept, openAll } from "../together.ts";
import { takePicture } from "../visual/picture.ts";
import { expectAccessible } from "./axe.ts";

test.use({ demo: true, expectedErrors: [/./] });

test("7 8 while a store is away every page names it, keeps what it has, is accessible, and recovers by itself", async ({
  browser,
  page,
  stage,
  signIn,
}) => {
  test.setTimeout(900_000);
  await signIn(page, "admin");
  const opened = await openAll(browser, stage, page.context(), { timezoneId: "UTC" });
  for (const [store, said] of [
    ["redis", "Redis cannot be reached"],
    ["postgres", "Postgres cannot be reached"],
  ] as const) {
    await stage[store].stop();
    for (const one of opened) {
      const { name, reads } = one.entry;
      await expectSaidAndKept(one, said);
      if (!reads.includes(store)) continue;
      await expectAccessible(one.page, `${name} without ${store}`, {
        inLook: async (look) => {
          if (look.name === "light" && reads[0] === store) await takePicture(one.page, `${name}-error`);
        },
      });
    }
    await stage[store].start();
    for (const one of opened) await expectRecovered(one, said);
  }
  await closeAll(opened);
});
