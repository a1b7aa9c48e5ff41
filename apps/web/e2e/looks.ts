// How a page can look: in both themes, at both ends of the widths. An open page is switched from one to the next without being loaded again.
import type { Page } from "@playwright/test";

export type Look = { name: "light" | "dark" | "narrow" | "narrow-dark"; colorScheme: "light" | "dark"; width: number };

export const looks = [
  { name: "light", colorScheme: "light", width: 1440 },
  { name: "dark", colorScheme: "dark", width: 1440 },
  { name: "narrow-dark", colorScheme: "dark", width: 320 },
  { name: "narrow", colorScheme: "light", width: 320 },
] as const satisfies readonly Look[];

export async function lookAt(page: Page, { colorScheme, width }: Look): Promise<void> {
  // A colour that is on its way to another has the contrast of neither.
  await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
  await page.setViewportSize({ width, height: width < 500 ? 720 : 900 });
}
