// How much a page makes a browser load before it can be used: everything that it asks for by itself.
import { expect, type Page, test } from "@playwright/test";

const LIMIT_BYTES = 250_000;

/** Of the page that was loaded last, once no more comes: under 250 kB of compressed JavaScript. */
export async function expectLight(page: Page, name: string): Promise<void> {
  let bytes = 0;
  await expect(async () => {
    const before = bytes;
    bytes = await scriptBytes(page);
    expect(bytes).toBe(before);
  }).toPass({ intervals: [700], timeout: 30_000 });
  const description = `${name}: ${(bytes / 1_000).toFixed(1)} kB`;
  test.info().annotations.push({ type: "compressed JavaScript", description });
  expect.soft(bytes, name).toBeGreaterThan(50_000);
  expect.soft(bytes, name).toBeLessThan(LIMIT_BYTES);
}

/** As they came over the line, whether they come from there or from the browser's cache this time. */
async function scriptBytes(page: Page): Promise<number> {
  return await page.evaluate(() =>
    performance
      .getEntriesByType("resource")
      .filter((entry) => entry instanceof PerformanceResourceTiming && /\.js(\?|$)/.test(entry.name))
      .reduce((sum, entry) => sum + (entry as PerformanceResourceTiming).encodedBodySize, 0),
  );
}
