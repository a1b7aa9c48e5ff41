import { AxeBuilder } from "@axe-core/playwright";
import { expect, type Page } from "@playwright/test";
import { type Look, lookAt, looks } from "../looks.ts";

const WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
/** Of these rules, the ones that a theme can break. */
const OF_COLOURS = ["color-contrast", "link-in-text-block"];

/**
 * The page as it stands, in each look: axe finds nothing wrong, and had something to look at; one h1 in one main; nothing scrolls sideways.
 * `inLook` runs in each of them, before axe does.
 */
export async function expectAccessible(
  page: Page,
  what: string,
  { in: wanted = looks, inLook }: { in?: readonly Look[]; inLook?: (look: Look) => Promise<void> } = {},
): Promise<void> {
  let before: Look | undefined;
  for (const look of wanted) {
    const where = `${what}, ${look.name}`;
    await lookAt(page, look);
    await inLook?.(look);
    // At one width a theme changes nothing but colours.
    await expectNothingFound(page, where, before?.width === look.width ? OF_COLOURS : undefined);
    await expectShape(page, where);
    before = look;
  }
}

async function expectNothingFound(page: Page, where: string, rules?: string[]): Promise<void> {
  // Nothing of another origin is framed here, for which the other mode opens a page each time. Rows are alike, and each takes its time.
  const axe = new AxeBuilder({ page }).setLegacyMode(true).exclude("tbody tr:nth-child(n + 7)");
  const { violations, passes } = await (rules ? axe.withRules(rules) : axe.withTags(WCAG)).analyze();
  const found = violations.map(({ id, help, nodes }) => {
    const first = nodes.slice(0, 3).map(({ target, failureSummary }) => `${target.join(" ")}: ${failureSummary ?? ""}`);
    return `${id} (${help}), ${nodes.length} times: ${first.join("; ")}`;
  });
  expect.soft(found, where).toEqual([]);
  // An empty page has no violations either.
  const passed = passes.map(({ id }) => id);
  expect(passed, where).toContain("color-contrast");
  if (!rules) expect(passed.length, where).toBeGreaterThan(8);
}

async function expectShape(page: Page, where: string): Promise<void> {
  const shape = await page.evaluate(() => ({
    headings: document.querySelectorAll("main h1").length,
    allHeadings: document.querySelectorAll("h1").length,
    mains: document.querySelectorAll("main").length,
    sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  }));
  expect.soft(shape, where).toEqual({ headings: 1, allHeadings: 1, mains: 1, sideways: 0 });
}
