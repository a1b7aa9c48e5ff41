// A picture of every page from under which a store went away: what it says, beside what it keeps.

import { test } from "../stage.ts";
import { closeAll, expectSaidAndKept, openAll } from "../together.ts";
import { takePicture } from "./picture.ts";

test.use({ demo: true, expectedErrors: [/./] });

test("8 every page without a store is drawn as it is laid out", async ({ browser, page, stage, signIn }) => {
  test.setTimeout(600_000);
  await signIn(page, "admin");
  const opened = await openAll(browser, stage, page.context(), {
    viewport: { width: 1440, height: 900 },
    timezoneId: "UTC",
    reducedMotion: "reduce",
  });
  for (const store of ["redis", "postgres"] as const) {
    const said = store === "redis" ? "Redis cannot be reached" : "Postgres cannot be reached";
    await stage[store].stop();
    for (const one of opened) {
      if (one.entry.reads[0] !== store) continue;
      await expectSaidAndKept(one, said);
      await takePicture(one.page, `${one.entry.name}-error`);
    }
    await stage[store].start();
  }
  await closeAll(opened);
});
