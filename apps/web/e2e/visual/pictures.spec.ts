// The pictures that the other suites took where they stood on a page: each is one, of the size of its look, and neither blank nor broken.
// Those that README shows are kept in docs/pictures (`npm run pictures`).
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, type Page, test } from "@playwright/test";
import { looks } from "../looks.ts";
import { pages, picturesOf } from "../pages.ts";
import { picturesDir } from "./picture.ts";

const keptDir = join(import.meta.dirname, "../../../../docs/pictures");

for (const entry of pages) {
  test(`8 ${entry.name} is drawn in each of its states`, async ({ page }) => {
    for (const name of picturesOf(entry)) {
      const drawn = await judge(page, await readFile(join(picturesDir, `${name}.png`)));
      const width = looks.find((look) => name.endsWith(`-${look.name}`))?.width ?? 1440;
      expect.soft([drawn.width, drawn.height], name).toEqual([width, width === 320 ? 720 : 900]);
      expect.soft(drawn.colours, name).toBeGreaterThan(40);
      expect.soft(drawn.commonest, name).toBeLessThan(0.985);
    }
  });
}

test("8 a picture of each page in each state is kept for readers, and none of another", async () => {
  const kept = (await readdir(keptDir)).toSorted();
  const known = pages.flatMap(picturesOf).map((name) => `${name}.png`);
  expect(kept).toEqual(known.toSorted());
});

/** Its size, how many colours it has, and the part of it that has the commonest one. */
async function judge(page: Page, picture: Buffer) {
  return await page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const { width, height } = image;
    const canvas = new OffscreenCanvas(width, height).getContext("2d");
    canvas?.drawImage(image, 0, 0);
    const pixels = new Uint32Array(canvas?.getImageData(0, 0, width, height).data.buffer ?? new ArrayBuffer(0));
    const counts = new Map<number, number>();
    for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
    return { width, height, colours: counts.size, commonest: Math.max(...counts.values()) / pixels.length };
  }, picture.toString("base64"));
}
