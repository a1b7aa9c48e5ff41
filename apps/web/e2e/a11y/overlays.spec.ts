// What opens over a page: the palette, menus, dialogs with their forms.
import type { Page } from "@playwright/test";
import { type Look, lookAt, looks } from "../looks.ts";
import { visit } from "../pages.ts";
import { expect, test } from "../stage.ts";
import { expectAccessible } from "./axe.ts";

test.use({ demo: true });

type Overlay = { name: string; path: string; shows: string; narrowOnly?: true; open: (page: Page) => Promise<void> };

const account = { path: "/accounts/00000000-0000-4000-8000-000000000101", shows: "vk_demo_ada" };
const click = (role: "button" | "menuitem" | "tab", name: string | RegExp) => (page: Page) =>
  page.getByRole(role, { name }).first().click();

const overlays: readonly Overlay[] = [
  {
    name: "the palette",
    path: "/deductions",
    shows: "Granite Group",
    open: (page) => page.keyboard.press("Control+k"),
  },
  { name: "the shortcuts", path: "/deductions", shows: "Granite Group", open: (page) => page.keyboard.press("?") },
  {
    name: "the menu of a phone",
    path: "/deductions",
    shows: "Granite Group",
    narrowOnly: true,
    open: click("button", "Open the menu"),
  },
  { name: "the operator's menu", path: "/operations", shows: "demo", open: click("button", /, Admin$/) },
  {
    name: "the preferences",
    path: "/operations",
    shows: "demo",
    open: async (page) => {
      await click("button", /, Admin$/)(page);
      await click("menuitem", /^Preferences/)(page);
    },
  },
  { name: "saved views", path: "/deductions", shows: "Granite Group", open: click("button", "Saved views") },
  {
    name: "a dead letter",
    path: "/dead-letters",
    shows: "ded_demo_no_account",
    open: click("button", /^Show dead letter/),
  },
  {
    name: "the dry run of a replay",
    path: "/dead-letters",
    shows: "ded_demo_no_account",
    open: async (page) => {
      await page
        .getByRole("checkbox", { name: /ded_demo_no_account/ })
        .first()
        .check();
      await click("button", "Replay")(page);
    },
  },
  { name: "a credit", ...account, open: click("button", /credit/i) },
  { name: "a new operator", path: "/settings/operators", shows: "viewer@demo.invalid", open: click("button", /^Add/) },
];

for (const { name, open, narrowOnly, ...state } of overlays) {
  test(`8 ${name} is accessible where it opens, light and dark, wide and narrow`, async ({ page, signIn }) => {
    await signIn(page, "admin");
    const wanted: readonly Look[] = narrowOnly ? looks.filter(({ width }) => width === 320) : looks;
    for (const look of wanted.slice(0, 1)) await lookAt(page, look);
    await visit(page, state);
    await open(page);
    const opened = page.locator("[role=dialog],[role=alertdialog],[role=menu],[role=listbox]").first();
    await expectAccessible(page, name, { in: wanted, inLook: async () => await expect(opened).toBeVisible() });
  });
}
