// A picture of a page: taken where a test stands on it, judged by the visual suite.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, type Page } from "@playwright/test";

/** Of this run; Playwright empties it before the next. */
export const picturesDir = join(import.meta.dirname, "../../test-results/pictures");

/** Takes it when what is in the main landmark stands where it belongs. */
export async function takePicture(page: Page, name: string, { signedOut = false } = {}): Promise<void> {
  await expectLaidOut(page, name, signedOut);
  await mkdir(picturesDir, { recursive: true });
  const picture = await page.screenshot({ animations: "disabled", caret: "hide" });
  await writeFile(join(picturesDir, `${name}.png`), picture);
}

/** The landmarks beside and under each other, the heading in sight, nothing out of the window. */
async function expectLaidOut(page: Page, name: string, signedOut: boolean): Promise<void> {
  const heading = page.getByRole("main").getByRole("heading", { level: 1 });
  await expect(heading, name).toHaveCount(1);
  await expect(heading, name).toBeInViewport();
  const { width } = page.viewportSize() ?? { width: 0 };
  const main = await page.getByRole("main").boundingBox();
  expect(main, name).not.toBeNull();
  if (main === null || signedOut) return;
  const top = await page.getByRole("banner").first().boundingBox();
  const wide = width >= 1024;
  const navigation = page.getByRole("navigation", { name: "Pages", exact: true });
  if (wide) expect((await navigation.boundingBox())?.width ?? 0, name).toBeGreaterThan(150);
  else await expect(navigation, name).toBeHidden();
  expect({ x: Math.round(main.x), right: Math.round(main.x + main.width) }, name).toEqual({
    x: Math.round(top?.x ?? -1),
    right: width,
  });
  expect(main.x, name).toBe(wide ? 224 : 0);
  expect(main.y, name).toBeGreaterThanOrEqual(Math.floor((top?.y ?? 0) + (top?.height ?? 0)));
}
