// Single sign-on against a real OpenID provider on a port of its own.
import { freePort } from "@drawdown/local-stack";
import type { Browser } from "@playwright/test";
import { type IdentityProvider, startIdentityProvider } from "../stage/identity-provider.ts";
import { type ProcessPart, processPart } from "../stage/parts.ts";
import { expect, test } from "../stage.ts";

const people = {
  boss: { email: "boss@corp.example", email_verified: true, name: "The Boss", groups: ["staff", "billing-admins"] },
  helper: { email: "helper@corp.example", email_verified: true, groups: ["support"] },
  stranger: { email: "stranger@corp.example", email_verified: true, groups: ["staff"] },
  forger: { email: "viewer@demo.invalid", email_verified: false, groups: ["billing-admins"] },
};

let provider: IdentityProvider;
let server: ProcessPart;
let consoleUrl: string;

test.describe.configure({ mode: "serial" });

test.beforeAll(async ({ openedStage }) => {
  const [consolePort, providerPort] = [await freePort(), await freePort()];
  consoleUrl = `http://127.0.0.1:${consolePort}`;
  provider = await startIdentityProvider(providerPort, `${consoleUrl}/api/auth/callback/oidc`, people);
  const env = {
    ...openedStage.env,
    CONSOLE_PORT: String(consolePort),
    OIDC_ISSUER: provider.issuer,
    OIDC_CLIENT_ID: provider.clientId,
    OIDC_CLIENT_SECRET: provider.clientSecret,
    OIDC_NAME: "Corp",
    OIDC_ROLES: "billing-admins=admin,support=support",
  };
  server = processPart(["console", "--no-build"], env, `${consoleUrl}/sign-in`);
  await server.start();
});
test.afterAll(async () => {
  await server?.stop();
  await provider?.stop();
});

/** Signs in there, and gives where the browser ends up and what the page says. */
async function signInAs(browser: Browser, who: keyof typeof people): Promise<{ path: string; text: string }> {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${consoleUrl}/settings/operators?x=1`);
  await page.getByRole("link", { name: "Sign in with Corp" }).click();
  await page.locator("input[name=login]").fill(who);
  await page.locator("input[name=password]").fill("any");
  await page.locator("button[type=submit]").click();
  await page.getByRole("button", { name: "Continue" }).click();
  await page.waitForURL((url) => url.origin === consoleUrl && !url.pathname.startsWith("/api"));
  const main = page.getByRole("main");
  await expect(main.getByRole("heading", { level: 1 })).toBeVisible();
  const outcome = { path: page.url().slice(consoleUrl.length), text: await main.innerText() };
  await context.close();
  return outcome;
}

test("7.1 the provider's claims give the role, being let in first is on record, and one goes on to where one wanted", async ({
  stage,
  browser,
}) => {
  expect((await signInAs(browser, "boss")).path).toBe("/settings/operators?x=1");
  expect((await signInAs(browser, "helper")).path).toBe("/settings/operators?x=1");
  const made = "SELECT email, name, role FROM data.operator WHERE email LIKE '%@corp.example' ORDER BY email";
  expect(await stage.rows(made)).toEqual([
    { email: "boss@corp.example", name: "The Boss", role: "admin" },
    { email: "helper@corp.example", name: "helper", role: "support" },
  ]);
  people.helper.groups = ["billing-admins"];
  await signInAs(browser, "helper");
  expect(await stage.rows("SELECT role FROM data.operator WHERE email = 'helper@corp.example'")).toEqual([
    { role: "admin" },
  ]);
  const acts = "SELECT action, targets FROM data.operator_action WHERE actor = 'single sign-on' ORDER BY started_at";
  expect(await stage.rows(acts)).toEqual([
    { action: "create_operator", targets: ["boss@corp.example"] },
    { action: "create_operator", targets: ["helper@corp.example"] },
    { action: "set_operator_role", targets: ["helper@corp.example"] },
  ]);
});

test("7.1 who has none of the roles, or an e-mail that is not his, is not let in, and is told so", async ({
  stage,
  browser,
}) => {
  for (const who of ["stranger", "forger"] as const) {
    const { path, text } = await signInAs(browser, who);
    expect(path).toContain("/sign-in?");
    expect(text).toMatch(/you are no operator|gives you no role/);
  }
  expect(await stage.rows("SELECT FROM data.operator WHERE email = 'stranger@corp.example'")).toEqual([]);
  expect(await stage.rows("SELECT role FROM data.operator WHERE email = 'viewer@demo.invalid'")).toEqual([
    { role: "viewer" },
  ]);
});

test("7.1 an operator who was disabled is not let in by the provider either", async ({ stage, browser }) => {
  await stage.drawdown("operators", "disable", "boss@corp.example", "--reason", "left");
  const { path, text } = await signInAs(browser, "boss");
  expect(path).toContain("/sign-in?");
  expect(text).toContain("This operator is disabled");
});
