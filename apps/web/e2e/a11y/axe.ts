import { AxeBuilder } from "@axe-core/playwright";
import { expect, type Page } from "@playwright/test";

const WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

export type Look = { colorScheme: "light" | "dark"; width: number };

/** Each pair has both themes and both ends of the widths. */
export const someLooks: readonly Look[] = [
  { colorScheme: "light", width: 1440 },
  { colorScheme: "dark", width: 320 },
];
export const otherLooks: readonly Look[] = [
  { colorScheme: "light", width: 320 },
  { colorScheme: "dark", width: 1440 },
];

export async function lookAt(page: Page, { colorScheme, width }: Look): Promise<void> {
  // A colour that is on its way to another has the contrast of neither.
  await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
  await page.setViewportSize({ width, height: 900 });
}

/** axe finds nothing wrong with the page as it stands, and had something to look at; one h1 in one main; nothing scrolls sideways. */
export async function expectAccessible(page: Page, what?: string): Promise<void> {
  const { violations, passes } = await new AxeBuilder({ page })
    .withTags(WCAG)
    // Nothing of another origin is framed here, for which the other mode opens a page each time.
    .setLegacyMode(true)
    // Rows are alike, and each takes its time.
    .exclude("tbody tr:nth-child(n + 10)")
    .analyze();
  const found = violations.map(({ id, help, nodes }) => {
    const first = nodes.slice(0, 3).map(({ target, failureSummary }) => `${target.join(" ")}: ${failureSummary ?? ""}`);
    return `${id} (${help}), ${nodes.length} times: ${first.join("; ")}`;
  });
  expect.soft(found, what).toEqual([]);
  // An empty page has no violations either.
  expect(passes.length, what).toBeGreaterThan(8);
  expect(
    passes.map(({ id }) => id),
    what,
  ).toContain("color-contrast");
  const shape = await page.evaluate(() => ({
    headings: document.querySelectorAll("main h1").length,
    allHeadings: document.querySelectorAll("h1").length,
    mains: document.querySelectorAll("main").length,
    sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  }));
  expect.soft(shape, what).toEqual({ headings: 1, allHeadings: 1, mains: 1, sideways: 0 });
}
