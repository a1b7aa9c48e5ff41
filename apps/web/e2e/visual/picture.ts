// A picture of a page, and what makes it one: it is not blank, and what the page is about stands in it.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, type Page } from "@playwright/test";
import { picturesAreWanted } from "../stage/config.ts";

const folder = join(import.meta.dirname, "../../../../docs/pictures");

/** Takes it when what is in the main landmark stands where it belongs; keeps it as a file when `npm run pictures` asks for it. */
export async function takePicture(page: Page, name: string, { signedOut = false } = {}): Promise<void> {
  await expectLaidOut(page, name, signedOut);
  const picture = await page.screenshot({ animations: "disabled", caret: "hide" });
  await expectDrawn(page, picture, name);
  if (!picturesAreWanted()) return;
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${name}.png`), picture);
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

/** Of the size of the window, with more than a few colours, none of which is nearly everywhere. */
async function expectDrawn(page: Page, picture: Buffer, name: string): Promise<void> {
  const drawn = await page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
    canvas?.drawImage(image, 0, 0);
    const pixels = new Uint32Array(
      canvas?.getImageData(0, 0, image.width, image.height).data.buffer ?? new ArrayBuffer(0),
    );
    const counts = new Map<number, number>();
    for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
    return {
      width: image.width,
      height: image.height,
      colours: counts.size,
      commonest: Math.max(...counts.values()) / pixels.length,
    };
  }, picture.toString("base64"));
  expect(drawn, name).toMatchObject(page.viewportSize() ?? {});
  expect(drawn.colours, name).toBeGreaterThan(40);
  expect(drawn.commonest, name).toBeLessThan(0.985);
}
