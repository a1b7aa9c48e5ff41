// Every page with the demo's data and with a store away, for who cannot see it, and for who sees it at a phone's width or in the dark.
import type { Page } from "@playwright/test";
import { type PageEntry, pages, stands, visit } from "../pages.ts";
import { expect, test } from "../stage.ts";
import { expectAccessible, type Look, lookAt, otherLooks, someLooks } from "./axe.ts";

test.use({ demo: true });
// One after the other on one stage: a stage is eight processes.
test.describe.configure({ mode: "default" });

for (const { name, filled, signedOut, logs } of pages) {
  test.describe(name, () => {
    test.use({ expectedErrors: logs ?? [] });
    test(`8 ${name} is accessible with data, light and dark, wide and narrow`, async ({ page, stage, signIn }) => {
      if (!signedOut) await signIn(page, "admin");
      await filled.prepare?.(stage);
      for (const [at, look] of someLooks.entries()) {
        await lookAt(page, look);
        await (at === 0 ? visit(page, filled) : stands(page, filled.shows));
        await expectAccessible(page, `${name}, ${look.colorScheme}, ${look.width}`);
      }
    });
  });
}

test.describe("a store away", () => {
  test.use({ expectedErrors: [/status of (404|5\d\d)|ERR_INCOMPLETE_CHUNKED_ENCODING/] });

  test("8 every page that reads Redis is accessible while it is away", async ({ page, stage, signIn }) => {
    test.setTimeout(600_000);
    await signIn(page, "admin");
    await stage.redis.stop();
    for (const [at, { name, filled, reads }] of pages.entries()) {
      if (!reads.includes("redis")) continue;
      await lookAt(page, lookNumber(at));
      await visit(page, { path: filled.path, shows: "Redis cannot be reached" });
      await expectAccessible(page, `${name} without Redis`);
    }
  });

  test("8 every page that reads Postgres is accessible while it is away", async ({ page, stage, signIn }) => {
    test.setTimeout(600_000);
    await signIn(page, "admin");
    await page.goto("/no/such/page");
    await stage.postgres.stop();
    const shows = "Postgres cannot be reached";
    const { links, others } = await linkedPages(page);
    for (const [at, { name, filled }] of links.entries()) {
      // Within the console, which is there: a page that is loaded anew has nothing but the notice.
      await lookAt(page, wide);
      await page.getByRole("navigation", { name: "Pages" }).locator(`a[href="${filled.path}"]`).click();
      await stands(page, shows);
      await lookAt(page, lookNumber(at));
      await expectAccessible(page, `${name} without Postgres`);
    }
    expect(others.length).toBeGreaterThan(0);
    for (const [at, { name, filled }] of others.slice(0, 1).entries()) {
      await lookAt(page, lookNumber(at));
      await visit(page, { path: filled.path, shows });
      await expectAccessible(page, `${name} without Postgres`);
    }
  });
});

const wide = { colorScheme: "light", width: 1440 } as const;

function lookNumber(at: number): Look {
  return [...someLooks, ...otherLooks][at % 4] ?? wide;
}

async function linkedPages(page: Page) {
  const links: PageEntry[] = [];
  const others: PageEntry[] = [];
  for (const entry of pages) {
    if (!entry.reads.includes("postgres")) continue;
    const link = page.getByRole("navigation", { name: "Pages" }).locator(`a[href="${entry.filled.path}"]`);
    ((await link.count()) > 0 ? links : others).push(entry);
  }
  return { links, others };
}
