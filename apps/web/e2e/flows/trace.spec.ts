import { waitFor } from "@drawdown/local-stack";
import type { Page } from "@playwright/test";
import { expect, test } from "../stage.ts";

async function expectState(page: Page, id: string, state: string): Promise<void> {
  await page.goto(`/trace/${encodeURIComponent(id)}`);
  await expect(page.getByRole("main").getByText(state, { exact: true }).first()).toBeVisible();
}

test("7.4 a trace says what became of an id: settled, refused, unknown, in flight, pending; and follows it by itself", async ({
  page,
  stage,
  signIn,
}) => {
  const key = stage.key(0);
  const settled = await stage.charge(key, { requestId: "req/1 <b>&%" });
  await stage.settled(settled.deduction_id);
  await signIn(page, "viewer");
  await page.goto("/trace");
  await page.getByRole("main").getByLabel("Id", { exact: true }).fill("req/1 <b>&%");
  await page.getByRole("main").getByRole("button", { name: "Trace" }).click();
  await expect(page.getByRole("main").getByText("settled", { exact: true })).toBeVisible();
  await expect(page.getByRole("main").getByRole("link", { name: settled.deduction_id }).first()).toBeVisible();

  await expectState(page, "no/such id\u202e<script>", "unknown");

  const refused = { provider: "openai", model: "gpt-4o", request_id: "req_refused" };
  const usage = { prompt_tokens: 2_000_000_000, completion_tokens: 1 };
  expect((await stage.post("/v1/charges", key, { ...refused, usage })).status).toBe(402);
  await waitFor(async () => (await stage.rows("SELECT FROM data.refusal")).length === 1, {
    timeoutMs: 20_000,
    what: "the refusal in the books",
  });
  await expectState(page, "req_refused", "refused");

  await stage.worker.stop();
  const charged = await stage.charge(key);
  await expectState(page, charged.deduction_id, "in flight");
  const billing = await stage.billing();
  const { shardOf, streamKey } = await import("@drawdown/billing");
  const stream = streamKey(shardOf(key.account_balance_id, billing.numShards));
  await billing.redis.xreadgroup("GROUP", "billing_workers", "dead-worker", "COUNT", 10, "STREAMS", stream, ">");
  // Nobody touches the page from here on.
  await expect(page.getByRole("main").getByText("pending", { exact: true })).toBeVisible();
  await stage.worker.start();
  await expect(page.getByRole("main").getByText("settled", { exact: true })).toBeVisible({ timeout: 30_000 });
});
