// How much a page makes a browser load before it can be used: a cold cache, the demo's data, everything that it asks for by itself.
import type { Page } from "@playwright/test";
import { pages, visit } from "../pages.ts";
import { expect, test } from "../stage.ts";

const LIMIT_BYTES = 250_000;

test.use({ demo: true });

test("8 the first load of every page is under 250 kB of compressed JavaScript", async ({
  browser,

  page,
  stage,
  signIn,
}, { annotations }) => {
  test.setTimeout(600_000);
  await signIn(page, "admin");
  const storageState = await page.context().storageState();
  for (const { name, filled, signedOut } of pages) {
    await filled.prepare?.(stage);
    const cold = await browser.newContext({ baseURL: stage.consoleUrl, ...(signedOut ? {} : { storageState }) });
    const tab = await cold.newPage();
    await visit(tab, filled);
    const bytes = await scriptBytes(tab);
    await cold.close();
    const figure = `${name}: ${(bytes / 1_000).toFixed(1)} kB`;
    annotations.push({ type: "compressed JavaScript", description: figure });
    process.stdout.write(`${figure}\n`);
    expect.soft(bytes, name).toBeGreaterThan(50_000);
    expect.soft(bytes, name).toBeLessThan(LIMIT_BYTES);
  }
});

/** Of all scripts that were loaded, once no more come. */
async function scriptBytes(page: Page): Promise<number> {
  const read = () =>
    page.evaluate(() =>
      performance
        .getEntriesByType("resource")
        .filter((entry) => entry instanceof PerformanceResourceTiming && /\.js(\?|$)/.test(entry.name))
        .reduce((sum, entry) => sum + (entry as PerformanceResourceTiming).encodedBodySize, 0),
    );
  let bytes = 0;
  await expect(async () => {
    const before = bytes;
    bytes = await read();
    expect(bytes).toBe(before);
  }).toPass({ intervals: [700], timeout: 30_000 });
  return bytes;
}
