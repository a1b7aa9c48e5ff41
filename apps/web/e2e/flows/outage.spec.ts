// A store or the worker goes away under open pages, and comes back.

import { expect, test } from "../stage.ts";
import { closeAll, expectRecovered, expectSaidAndKept, openAll } from "../together.ts";

test.use({ demo: true, expectedErrors: [/./] });
test.describe.configure({ mode: "default" });

for (const [store, said] of [
  ["redis", "Redis cannot be reached"],
  ["postgres", "Postgres cannot be reached"],
] as const) {
  test(`7 while ${store} is away every page names it and keeps what it has, and recovers by itself`, async ({
    browser,
    page,
    stage,
    signIn,
  }) => {
    test.setTimeout(600_000);
    await signIn(page, "admin");
    const opened = await openAll(browser, stage, page.context());
    await stage[store].stop();
    for (const one of opened) await expectSaidAndKept(one, said);
    await stage[store].start();
    for (const one of opened) await expectRecovered(one, said);
    await closeAll(opened);
  });
}

test("7 a page that is asked for while Postgres is away says so, and comes by itself when it is back", async ({
  page,
  stage,
  signIn,
}) => {
  test.setTimeout(600_000);
  await signIn(page, "admin");
  await stage.postgres.stop();
  await page.goto("/deductions");
  await expect(page.getByRole("main").getByRole("heading", { level: 1 })).toHaveCount(1);
  await expect(page.getByText("Postgres cannot be reached").last()).toBeVisible({ timeout: 30_000 });
  await stage.postgres.start();
  await expect(page.getByRole("main").getByText("Granite Group").first()).toBeVisible({ timeout: 60_000 });
});

test("7 without a worker the overview says so, no other page fails, and it recovers by itself", async ({
  page,
  stage,
  signIn,
}) => {
  test.setTimeout(600_000);
  await signIn(page, "admin");
  await page.goto("/");
  await expect(page.getByRole("main").getByText("Granite Group").first()).toBeVisible({ timeout: 20_000 });
  await stage.worker.stop();
  await expect(page.getByText("No worker lives")).toBeVisible({ timeout: 60_000 });
  await expect(page.getByRole("main").getByText("Granite Group").first()).toBeVisible();
  await stage.worker.start();
  await expect(page.getByText("No worker lives")).toHaveCount(0, { timeout: 60_000 });
});
