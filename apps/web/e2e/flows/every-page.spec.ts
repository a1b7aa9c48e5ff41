// What holds for every page of the table, over HTTP: none is forgotten, none is for strangers, none tells a secret.
import { consolePages, pages, routesOfApp } from "../pages.ts";
import { expect, test } from "../stage.ts";

test("8 every page of the console is in the table that the suites go by", () => {
  // The folder of a page that only leads on to others has nothing to show.
  const leadingOn = ["(console)/settings"];
  const known = [...new Set(pages.map(({ route }) => route)), ...leadingOn];
  expect(routesOfApp().filter((route) => !known.includes(route))).toEqual([]);
});

test("7.1 signed out, every page redirects to the sign-in with 307, and says where one wanted to go", async ({
  request,
}) => {
  for (const { name, filled } of consolePages) {
    const answer = await request.get(filled.path, { maxRedirects: 0 });
    expect(answer.status(), name).toBe(307);
    const { pathname, searchParams } = new URL(answer.headers()["location"] ?? "", "http://x");
    expect([pathname, searchParams.get("next") ?? "/"], name).toEqual(["/sign-in", filled.path]);
  }
});

test("7.1 no page, and no script of one, holds a secret or is open to other sites", async ({ page, stage, signIn }) => {
  await signIn(page, "admin");
  const [kept] = await stage.rows<{ value: string }>("SELECT value FROM data.setting WHERE key = 'console_secret'");
  const session = (await page.context().cookies()).find(({ name }) => name.endsWith("session_token"));
  const secrets = [kept?.value, stage.postgres.url, stage.redis.url, stage.key(0).api_key, session?.value];
  expect(secrets.every(Boolean)).toBe(true);
  const read = new Set<string>();
  const expectNoSecret = (text: string, where: string) => {
    for (const secret of secrets) if (secret) expect(text.includes(secret), where).toBe(false);
  };
  for (const { name, filled, signedOut } of pages) {
    const answer = await page.request.get(filled.path, { maxRedirects: 0 });
    if (signedOut) continue;
    const headers = answer.headers();
    const policy = headers["content-security-policy"] ?? "";
    expect(policy, name).toContain("frame-ancestors 'none'");
    expect(policy, name).not.toMatch(/script-src[^;]*unsafe/);
    expect(headers, name).toMatchObject({
      "x-frame-options": "DENY",
      "x-content-type-options": "nosniff",
      "referrer-policy": "same-origin",
    });
    const html = await answer.text();
    expectNoSecret(html, name);
    for (const [address] of html.matchAll(/\/_next\/static\/[\w./-]+\.js/g)) read.add(address);
  }
  expect(read.size).toBeGreaterThan(5);
  for (const address of read) expectNoSecret(await (await page.request.get(address)).text(), address);
});
