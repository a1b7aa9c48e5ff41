// Sign-in, sessions and what keeps other sites out, over real HTTP.
import type { Stage } from "../stage/open.ts";
import { expect, test } from "../stage.ts";

type Posted = { origin?: string; cookie?: string; more?: Record<string, string> };

function post(stage: Stage, path: string, body: unknown, { origin, cookie, more }: Posted = {}): Promise<Response> {
  return fetch(`${stage.consoleUrl}${path}`, {
    method: "POST",
    redirect: "manual",
    headers: {
      "content-type": "application/json",
      origin: origin ?? stage.consoleUrl,
      ...(cookie === undefined ? {} : { cookie }),
      ...more,
    },
    body: JSON.stringify(body),
  });
}

function operatorOf(stage: Stage, role: string): { email: string; password: string } {
  const operator = stage.operators.find((one) => one.role === role);
  if (operator === undefined) throw new Error(`The seed has no ${role}.`);
  return { email: operator.email, password: operator.password };
}

async function signedIn(stage: Stage, role: string, posted: Posted = {}): Promise<{ cookie: string; line: string }> {
  const answer = await post(stage, "/api/auth/sign-in/email", operatorOf(stage, role), posted);
  expect(answer.status).toBe(200);
  const [line = ""] = answer.headers.getSetCookie();
  return { line, cookie: line.split(";")[0] ?? "" };
}

function page(stage: Stage, path: string, cookie: string): Promise<Response> {
  return fetch(`${stage.consoleUrl}${path}`, { redirect: "manual", headers: { cookie } });
}

test("7.1 the session's cookie is out of the reach of scripts and other sites, and secure under https", async ({
  stage,
}) => {
  const { line } = await signedIn(stage, "viewer");
  expect(line).toMatch(/^drawdown\.session_token=[^;]+; Max-Age=43200; Path=\/; HttpOnly; SameSite=Lax$/);
  const proxied = await signedIn(stage, "viewer", {
    origin: "https://console.test.example",
    more: { "x-forwarded-proto": "https", "x-forwarded-host": "console.test.example" },
  });
  expect(proxied.line).toMatch(/^__Secure-drawdown\.session_token=[^;]+;.* HttpOnly; Secure; SameSite=Lax$/);
  for (const { cookie } of [await signedIn(stage, "viewer"), proxied])
    expect((await page(stage, "/", cookie)).status).toBe(200);
});

test("7.1 what another site makes a browser send is refused, with and without a session", async ({ stage }) => {
  const { cookie } = await signedIn(stage, "admin");
  const foreign: Posted[] = [
    { origin: "http://evil.example" },
    { origin: "null" },
    { more: { "sec-fetch-site": "cross-site" } },
    { more: { "sec-fetch-site": "same-site" } },
  ];
  for (const posted of foreign) {
    for (const path of ["/api/auth/sign-in/email", "/api/auth/sign-out", "/api/trpc/operators.signOutOthers"]) {
      const answer = await post(stage, path, operatorOf(stage, "admin"), { cookie, ...posted });
      expect([path, posted, answer.status]).toEqual([path, posted, 403]);
      expect(answer.headers.getSetCookie()).toEqual([]);
    }
  }
  expect((await page(stage, "/", cookie)).status).toBe(200);
});

test("7.1 every page forbids frames, foreign scripts and leaking addresses, and holds no secret", async ({ stage }) => {
  const { cookie } = await signedIn(stage, "admin");
  const [secret] = await stage.rows<{ value: string }>("SELECT value FROM data.setting WHERE key = 'console_secret'");
  const nonces = new Set<string>();
  for (const path of ["/sign-in", "/", "/settings/operators"]) {
    const answer = await page(stage, path, path === "/sign-in" ? "" : cookie);
    const policy = answer.headers.get("content-security-policy") ?? "";
    for (const part of ["default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"])
      expect(policy).toContain(part);
    expect(policy).not.toMatch(/script-src[^;]*unsafe/);
    nonces.add(/'nonce-([^']+)'/.exec(policy)?.[1] ?? "");
    expect(answer.headers.get("x-frame-options")).toBe("DENY");
    expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
    expect(answer.headers.get("referrer-policy")).toBe("same-origin");
    expect(answer.headers.get("cache-control")).toContain("no-store");
    const html = await answer.text();
    const kept = [secret?.value, stage.postgres.url, stage.redis.url, cookie.split("=")[1]];
    for (const text of kept) if (text) expect(html).not.toContain(text);
  }
  expect(nonces.size).toBe(3);
});

test("7.1 nobody signs himself up, or changes who he is, past the acts on record", async ({ stage }) => {
  const { cookie } = await signedIn(stage, "viewer");
  const body = { email: "new@test.example", password: "a long password", name: "new", role: "admin" };
  for (const path of [
    "sign-up/email",
    "update-user",
    "change-email",
    "change-password",
    "delete-user",
    "sign-in/social",
  ])
    expect((await post(stage, `/api/auth/${path}`, body, { cookie })).status).toBe(404);
  expect(await stage.rows("SELECT FROM data.operator WHERE email = $1", [body.email])).toEqual([]);
});

test("7.1 after the sign-in one goes on to where one wanted, never to another site", async ({ stage, browser }) => {
  for (const [next, path] of [
    ["/settings/operators?x=1", "/settings/operators?x=1"],
    ["//evil.example/", "/"],
    ["/\\evil.example/", "/"],
    ["/.//evil.example/", "/"],
    ["https://evil.example/", "/"],
    ["javascript:alert(1)", "/"],
    ["/sign-in?next=/sign-in", "/"],
  ] as const) {
    // Without the page's scripts: the form is the server's.
    const context = await browser.newContext({ javaScriptEnabled: false });
    const tab = await context.newPage();
    await tab.goto(`${stage.consoleUrl}/sign-in?next=${encodeURIComponent(next)}`);
    const { email, password } = operatorOf(stage, "admin");
    await tab.getByLabel("Email").fill(email);
    await tab.getByLabel("Password").fill(password);
    await tab.getByRole("button", { name: "Sign in" }).click();
    await expect(tab).toHaveURL(`${stage.consoleUrl}${path}`);
    await context.close();
  }
});

test("7.1 a session that is over leads to the sign-in, which says so and leads back", async ({
  stage,
  page: tab,
  signIn,
}) => {
  await signIn(tab, "viewer");
  await tab.goto("/settings/operators");
  await expect(tab.getByRole("heading", { level: 1 })).toBeVisible();
  // A page that moves by itself would go to the sign-in by itself, and cut off the visit below.
  await tab.goto("about:blank");
  await stage.rows("UPDATE data.operator_session SET expires_at = now()");
  await tab.goto("/deductions?key=vk_demo_user_1");
  await expect(tab).toHaveURL(/\/sign-in\?next=/);
  const { email, password } = operatorOf(stage, "viewer");
  await tab.getByLabel("Email").fill(email);
  await tab.getByLabel("Password").fill(password);
  await tab.getByRole("button", { name: "Sign in" }).click();
  await expect(tab).toHaveURL(/\/deductions\?key=vk_demo_user_1$/);
});

test("7.1 too many failures are refused by e-mail, for how long is said, and a restarted console remembers", async ({
  stage,
  page: tab,
}) => {
  const email = "nobody@test.example";
  const guess = () => post(stage, "/api/auth/sign-in/email", { email, password: "guessed again" });
  const outcomes = await Promise.all(Array.from({ length: 8 }, guess));
  expect(outcomes.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
    401, 401, 401, 401, 401, 429, 429, 429,
  ]);
  await stage.console.kill();
  await stage.restore();
  await tab.goto("/sign-in");
  await tab.getByLabel("Email").fill(email);
  await tab.getByLabel("Password").fill("guessed again");
  await tab.getByRole("button", { name: "Sign in" }).click();
  await expect(tab.getByRole("main").getByRole("alert")).toHaveText(/Too many attempts\. Try again in \d+ seconds?\./);
  await expect(tab.getByLabel("Email")).toHaveValue(email);
  expect(tab.url()).not.toContain("guessed");
  await stage.rows("DELETE FROM data.operator_rate_limit");
});

test("7.1 signing out all others ends their sessions at once, and keeps this one", async ({
  stage,
  page: tab,
  signIn,
}) => {
  const other = await signedIn(stage, "support");
  await signIn(tab, "support");
  await tab.goto("/settings/operators");
  await tab.getByRole("button", { name: "Sign out all others" }).click();
  await expect(tab.getByText("The other sessions are over.")).toBeVisible();
  expect((await page(stage, "/", other.cookie)).status).toBe(307);
  await tab.reload();
  await expect(tab.getByRole("heading", { level: 1, name: "Operators" })).toBeVisible();
});

test.describe("Postgres away", () => {
  test.use({ expectedErrors: [/status of 5\d\d/] });
  test("7.1 the sign-in says that Postgres is away, and works when it is back", async ({ stage, page: tab }) => {
    await tab.goto("/sign-in");
    await stage.postgres.stop();
    const { email, password } = operatorOf(stage, "viewer");
    await tab.getByLabel("Email").fill(email);
    await tab.getByLabel("Password").fill(password);
    await tab.getByRole("button", { name: "Sign in" }).click();
    await expect(tab.getByText("Postgres cannot be reached")).toBeVisible({ timeout: 30_000 });
    await stage.postgres.start();
    await tab.getByLabel("Password").fill(password);
    await tab.getByRole("button", { name: "Sign in" }).click();
    await expect(tab).toHaveURL(`${stage.consoleUrl}/`, { timeout: 30_000 });
  });
});
