// Settings: what is set in the console is what gateways do, and the command beside each act does the same.
import type { Page } from "@playwright/test";
import { expect, type Stage, test } from "../stage.ts";

const hostile = `<img src=x onerror="alert(1)"> \u202e'); DROP TABLE`;

async function act(page: Page, reason: string, verb: string): Promise<void> {
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Reason" }).fill(reason);
  await dialog.getByRole("button", { name: verb, exact: true }).click();
}

/** The command that the open dialog shows, with the reason that stands there. */
async function commandOf(page: Page): Promise<string> {
  const dialog = page.getByRole("dialog");
  await dialog.getByText("The same as a command").click();
  return await dialog.getByRole("figure", { name: "The same as a command" }).locator("pre").innerText();
}

type Acted = { action: string; targets: string[]; actor: string; reason: string };

const lastActs = (stage: Stage, action: string, count: number) =>
  stage.rows<Acted>(
    "SELECT action, targets, actor, reason FROM data.operator_action WHERE action = $1 ORDER BY started_at DESC LIMIT $2",
    [action, count],
  );

test("7.5 a price set in the console is what the gateway charges next, and its command sets the same", async ({
  page,
  signIn,
  stage,
}) => {
  const model = `house-${crypto.randomUUID().slice(0, 8)}`;
  await signIn(page, "admin");
  await page.goto("/settings/prices");
  await page.getByRole("button", { name: "Set a price" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Provider" }).fill("acme");
  await dialog.getByRole("textbox", { name: "Model", exact: true }).fill(model);
  await dialog.getByRole("textbox", { name: "Input", exact: true }).fill("2.5000001");
  await expect(dialog.getByText("with at most 6 decimals")).toBeVisible();
  await dialog.getByRole("textbox", { name: "Input", exact: true }).fill("2.5");
  await dialog.getByRole("textbox", { name: "Output", exact: true }).fill("10");
  // 10,000 input and 1,000 output tokens.
  await expect(dialog.getByText("0.035000000")).toBeVisible();
  await dialog.getByRole("textbox", { name: "Reason" }).fill("it's agreed");
  const command = await commandOf(page);
  await act(page, "it's agreed", "Set the price");
  await expect(dialog.getByText(`Set: acme/${model} has its new price.`)).toBeVisible();
  const charge = async () =>
    await stage.charge(stage.key(0), {
      provider: "acme",
      model,
      usage: { prompt_tokens: 1_000, completion_tokens: 100 },
    });
  await expect.poll(async () => await charge().then(({ cost }) => cost, String)).toBe("0.003500000");
  await dialog.getByRole("button", { name: "Close" }).last().click();
  await page.getByLabel("Model begins").fill(model);
  await page.getByLabel("Model begins").press("Enter");
  const row = page.getByRole("row").filter({ hasText: model });
  await expect(row).toContainText("2.500000");
  await expect(row).toContainText("0.000002500000");
  await stage.shell(command);
  const [byCommand, byPage] = await lastActs(stage, "set_price", 2);
  expect(byCommand).toEqual(byPage);
  expect(byPage).toMatchObject({ targets: [`acme/${model}`], reason: "it's agreed" });
});

test("7.9 the calculator reckons what the gateway charges for the same call, and where it comes from", async ({
  page,
  signIn,
  stage,
}) => {
  const { cost } = await stage.charge(stage.key(0), { usage: { prompt_tokens: 12_345, completion_tokens: 678 } });
  await signIn(page, "viewer");
  await page.goto("/settings/prices");
  await page.getByText("What would a call cost?").click();
  const form = page.locator("form").filter({ has: page.getByRole("button", { name: "Reckon" }) });
  await form.getByLabel("Model", { exact: true }).fill("openai/gpt-4o-mini");
  await form.getByLabel("Input tokens").fill("12,345");
  await expect(form.getByRole("button", { name: "Reckon" })).toBeDisabled();
  await form.getByLabel("Input tokens").fill("12345");
  await form.getByLabel("Output tokens").fill("678");
  await form.getByRole("button", { name: "Reckon" }).click();
  await expect(form.locator("output")).toContainText(cost);
  const lines = form.getByRole("table", { name: "How the cost comes about" }).getByRole("row");
  await expect(lines.filter({ hasText: "12345" })).toContainText("input");
  await expect(lines.filter({ hasText: "678" })).toContainText("output");
});

test("7.5 a key made in the console works at the gateway, shows its secret once, and is refused when it is revoked", async ({
  page,
  signIn,
  stage,
}) => {
  await signIn(page, "admin");
  await page.goto(`/settings/keys?account=${stage.key(0).account_balance_id}`);
  await page.getByRole("button", { name: "Create a key" }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog.getByRole("textbox", { name: "Account or owner id" })).toHaveValue(
    stage.key(0).account_balance_id,
  );
  await dialog.getByRole("textbox", { name: "Name", exact: true }).fill(hostile);
  await act(page, "a new customer", "Create the key");
  const apiKey = await dialog.getByRole("figure", { name: "API key" }).locator("pre").innerText();
  const [virtualKey = ""] = apiKey.split(".");
  expect(apiKey).toMatch(/^vk_[0-9a-f]{24}\.[\w-]{43}$/);
  const key = { ...stage.key(0), api_key: apiKey, virtual_key: virtualKey };
  await expect.poll(async () => await stage.charge(key).then(() => "charged", String)).toBe("charged");
  await dialog.getByRole("button", { name: "Close" }).last().click();
  await expect(dialog).toBeHidden();
  const row = page.getByRole("row").filter({ hasText: virtualKey });
  await expect(row).toContainText(hostile);
  expect(await page.content()).not.toContain(apiKey);
  await row.getByRole("button", { name: /^Actions/ }).click();
  await page.getByRole("menuitem", { name: "Revoke" }).click();
  await act(page, "it leaked", "Revoke");
  await expect(dialog.getByText("Revoked: every gateway")).toBeVisible();
  await expect.poll(async () => (await stage.post("/v1/charges", key, {})).status).toBe(401);
  const kept = await stage.rows("SELECT * FROM data.operator_action WHERE targets @> jsonb_build_array($1::text)", [
    virtualKey,
  ]);
  expect(JSON.stringify(kept)).not.toContain(apiKey.slice(virtualKey.length + 1));
});

test("7.1 a viewer sees prices, providers and keys, and why nothing of them is his to change", async ({
  page,
  signIn,
}) => {
  await signIn(page, "viewer");
  await page.goto("/settings");
  await expect(page).toHaveURL(/\/settings\/prices$/);
  for (const [tab, button] of [
    ["Prices", "Set a price"],
    ["Providers", "Add a provider"],
    ["Keys", "Create a key"],
  ] as const) {
    await page.getByRole("navigation", { name: "Settings" }).getByRole("link", { name: tab }).click();
    await expect(page.getByRole("heading", { level: 1, name: tab })).toBeVisible();
    const refused = page.getByRole("button", { name: button });
    await expect(refused).toBeDisabled();
    await expect(refused).toHaveAccessibleDescription("This needs the role admin; yours is viewer.");
    await expect(page.getByRole("table", { name: tab })).toBeVisible();
  }
});

test("7.5 a provider is added, refused in words while a key stands where a variable's name belongs, and removed", async ({
  page,
  signIn,
  stage,
}) => {
  await signIn(page, "admin");
  await page.goto("/settings/providers");
  await page.getByRole("button", { name: "Add a provider" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Name", exact: true }).fill(hostile);
  await dialog.getByRole("textbox", { name: "Address" }).fill("https://api.example.com/v1");
  await dialog.getByRole("textbox", { name: "Key in variable" }).fill("sk-not-a-name");
  await act(page, "a new house", "Add");
  await expect(dialog.getByRole("alert")).toContainText("no name of an environment variable");
  await dialog.getByRole("textbox", { name: "Key in variable" }).fill("HOUSE_KEY");
  await dialog.getByRole("button", { name: "Add", exact: true }).click();
  await expect(dialog.getByText("https://api.example.com/v1")).toBeVisible();
  await dialog.getByRole("button", { name: "Close" }).last().click();
  const row = page.getByRole("row").filter({ hasText: hostile });
  await expect(row).toContainText("HOUSE_KEY");
  await row.getByRole("button", { name: /^Actions/ }).click();
  await page.getByRole("menuitem", { name: "Remove" }).click();
  const reason = page.getByRole("dialog").getByRole("textbox", { name: "Reason" });
  await reason.fill("gone");
  await stage.shell(await commandOf(page));
  expect(await stage.rows("SELECT FROM data.provider WHERE name = $1", [hostile])).toEqual([]);
  await act(page, "gone", "Remove");
  await expect(dialog.getByText("There is no such provider any more.")).toBeVisible();
});
