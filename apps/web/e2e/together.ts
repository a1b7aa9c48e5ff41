// Every page at once, each in a browser's profile of its own: a browser has six connections to a server, of which a live page holds one.
import type { Browser, BrowserContext, Page } from "@playwright/test";
import { consolePages, type PageEntry, stands, visit } from "./pages.ts";
import { expect, type Stage } from "./stage.ts";

export type OpenedPage = {
  entry: PageEntry;
  page: Page;
  /** What it logged, but answers of a server without its stores. */
  errors: string[];
};

type Options = Parameters<Browser["newContext"]>[0];

/** The pages with the demo's data, signed in as that context is. They are closed with `closeAll`. */
export async function openAll(
  browser: Browser,
  stage: Stage,
  from: BrowserContext,
  options: Options = {},
): Promise<OpenedPage[]> {
  const storageState = await from.storageState();
  const opened: OpenedPage[] = [];
  for (const entry of consolePages) {
    await entry.prepare?.(stage);
    const context = await browser.newContext({ baseURL: stage.consoleUrl, storageState, ...options });
    const page = await context.newPage();
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error" && !/status of (404|5\d\d)|ERR_|Failed to fetch/.test(message.text()))
        errors.push(message.text());
    });
    await visit(page, entry.filled);
    // Gone with the document, so with a reload.
    await page.evaluate(() => Object.assign(window, { sameDocument: true }));
    opened.push({ entry, page, errors });
  }
  return opened;
}

export async function closeAll(opened: readonly OpenedPage[]): Promise<void> {
  for (const { page } of opened) await page.context().close();
}

/** It says so, and shows what it showed. */
export async function expectSaidAndKept({ entry: { name, filled }, page }: OpenedPage, said: string): Promise<void> {
  await expect(page.getByText(said).first(), `${name} says it`).toBeVisible({ timeout: 45_000 });
  await expect(page.getByRole("main").getByText(filled.shows).first(), `${name} keeps what it has`).toBeVisible();
  await expect(page.getByRole("main").getByRole("heading", { level: 1 }), name).toHaveCount(1);
}

/** As before, by itself. */
export async function expectRecovered(
  { entry: { name, filled }, page, errors }: OpenedPage,
  said: string,
): Promise<void> {
  await expect(page.getByText(said), `${name} recovers`).toHaveCount(0, { timeout: 60_000 });
  await stands(page, filled.shows);
  expect(await page.evaluate(() => "sameDocument" in window), `${name} was not loaded again`).toBe(true);
  expect(errors, name).toEqual([]);
}
