/**
 * What every browser test imports: `test` with a stage (one for each Playwright worker, whole again after each test) and a page that
 * fails its test when it logs an error. `import { expect, test } from "../stage.ts"`.
 */
import { test as base, expect, type Page } from "@playwright/test";
import { openStage, type Stage } from "./stage/open.ts";
import { signInTo } from "./stage/sign-in.ts";
import type { Role } from "./stage/template.ts";

export type { Charged, Stage } from "./stage/open.ts";
export type { Key, Role } from "./stage/template.ts";
export { expect };

type Fixtures = {
  stage: Stage;
  /** Signs in as the seed's operator of that role; twice is harmless. */
  signIn: (page: Page, role: Role) => Promise<void>;
  /** What a page may log: `test.use({ expectedErrors: [/status of 503/] })` in tests that take a store away. */
  expectedErrors: RegExp[];
};

type WorkerFixtures = {
  /** Whether the stage has the demo's data: `test.use({ demo: true })` at the top of a file (tests with and without get workers apart). */
  demo: boolean;
  openedStage: Stage;
};

export const test = base.extend<Fixtures, WorkerFixtures>({
  demo: [false, { option: true, scope: "worker" }],
  openedStage: [
    async ({ demo }, use) => {
      const stage = await openStage({ demo });
      await use(stage);
      await stage.close();
    },
    { scope: "worker", timeout: 120_000 },
  ],
  stage: async ({ openedStage }, use) => {
    await use(openedStage);
    await openedStage.restore();
  },
  baseURL: async ({ openedStage }, use) => use(openedStage.consoleUrl),
  signIn: async ({ openedStage }, use) => use((page, role) => signInTo(openedStage, page, role)),
  expectedErrors: [[], { option: true }],
  page: async ({ page, expectedErrors }, use) => {
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error") errors.push(`${message.text()} (${message.location().url})`);
    });
    await use(page);
    expect(errors.filter((error) => !expectedErrors.some((expected) => expected.test(error)))).toEqual([]);
  },
});
