// Texts that attack, in every field that somebody outside can write: they stand as text on every page, run nowhere and break no page.
import type { Page } from "@playwright/test";
import { type Written, word, writeEverywhere } from "../attack.ts";
import { consolePages } from "../pages.ts";
import { expect, test } from "../stage.ts";

// What the browser says of addresses that no page has.
test.use({ expectedErrors: [/status of 404/] });

test("7 hostile text in any field stands as text, runs nowhere and overflows no page at 320 px", async ({
  page,
  stage,
  signIn,
}) => {
  test.setTimeout(600_000);
  const written = await writeEverywhere(stage);
  page.on("dialog", (dialog) => {
    void dialog.dismiss();
    throw new Error(`A dialog opened: ${dialog.message()}`);
  });
  await signIn(page, "admin");
  await page.setViewportSize({ width: 320, height: 800 });
  for (const { path, standsIn } of addresses(written)) {
    await page.goto(path);
    const main = page.getByRole("main");
    await expect(main.getByRole("heading", { level: 1 }), path).toHaveCount(1);
    await expect(main.locator(".skeleton-bar"), path).toHaveCount(0, { timeout: 20_000 });
    if (standsIn) await expect(main, path).toContainText("<img src=x onerror=");
    await expectHarmless(page, path);
  }
  for (const { path, open } of overlays) {
    await page.goto(path);
    await page.getByRole("button", { name: open }).first().click();
    await expect(page.getByRole("dialog").first(), path).toContainText("<img src=x onerror=");
    await expectHarmless(page, `${path}, ${open}`);
  }
});

const overlays = [
  { path: "/dead-letters", open: /^Show dead letter/ },
  { path: "/pending", open: /^Show the entry/ },
];

/** Of things that this stage has not, or without a text of somebody outside. */
const without = ["overview", "account", "trace", "streams", "operation", "not-found"];

function addresses({ accountId, operationId, deductionId }: Written): { path: string; standsIn?: boolean }[] {
  const written = encodeURIComponent(word);
  const account = `/accounts/${accountId}`;
  const tabs = ["trail", "keys", "refusals", "holds", "uncaptured", "operations"];
  return [
    ...consolePages.map(({ name, route, filled: { path } }) => ({
      path: route.startsWith("(console)/settings") ? (path.split("?")[0] ?? path) : path,
      standsIn: !without.includes(name),
    })),
    ...tabs.map((tab) => ({ path: `${account}?tab=${tab}`, standsIn: true })),
    { path: `/deductions?model=${written}`, standsIn: true },
    { path: `/trace/${encodeURIComponent(deductionId)}`, standsIn: true },
    { path: `/accounts/${written}` },
    { path: `/operations/${written}` },
    { path: `/operations/${operationId}`, standsIn: true },
    { path: `/${written}` },
  ];
}

async function expectHarmless(page: Page, where: string): Promise<void> {
  const seen = await page.evaluate(() => ({
    ran: "hacked" in window,
    elements: document.querySelectorAll('img[src="x"], [onerror]').length,
    sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  }));
  expect.soft(seen, where).toEqual({ ran: false, elements: 0, sideways: 0 });
}
