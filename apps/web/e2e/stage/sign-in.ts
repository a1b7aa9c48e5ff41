// Signing in as an operator of a role: through the form once for each role, then with the cookies of that session.
import type { BrowserContext, Page } from "@playwright/test";
import type { Stage } from "./open.ts";
import type { Role } from "./template.ts";

type Cookies = Awaited<ReturnType<BrowserContext["cookies"]>>;

type Console = Pick<Stage, "consoleUrl" | "operators">;

const sessions = new WeakMap<Console, Map<Role, Cookies>>();

/** Signs the page's context in; the page stands where the console sends who has signed in, or where it stood. */
export async function signInTo(stage: Console, page: Page, role: Role): Promise<void> {
  const kept = sessions.get(stage) ?? new Map<Role, Cookies>();
  sessions.set(stage, kept);
  const cookies = kept.get(role);
  if (cookies !== undefined && (await stillGood(stage, page.context(), cookies))) return;
  const operator = stage.operators.find((one) => one.role === role);
  if (operator === undefined) throw new Error(`The seed has no operator with the role ${role}.`);
  await page.goto(`${stage.consoleUrl}/sign-in`);
  await page.getByLabel("Email").fill(operator.email);
  await page.getByLabel("Password").fill(operator.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(({ pathname }) => pathname !== "/sign-in");
  kept.set(role, await page.context().cookies());
}

/** A test may have ended the session: then the console sends its cookies to the sign-in page. */
async function stillGood(stage: Console, context: BrowserContext, cookies: Cookies): Promise<boolean> {
  await context.addCookies(cookies);
  const answer = await context.request.get(stage.consoleUrl, { maxRedirects: 0 });
  if (answer.status() !== 307) return true;
  await context.clearCookies();
  return false;
}
