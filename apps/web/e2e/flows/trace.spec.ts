import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type AccountRef, charge, GROUP, retain, shardOf, streamKey } from "@drawdown/billing";
import { waitFor } from "@drawdown/local-stack";
import type { Page } from "@playwright/test";
import { expectAccessible } from "../a11y/axe.ts";
import { expect, type Stage, test } from "../stage.ts";

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
  const stream = streamKey(shardOf(key.account_balance_id, billing.numShards));
  await billing.redis.xreadgroup("GROUP", "billing_workers", "dead-worker", "COUNT", 10, "STREAMS", stream, ">");
  // Nobody touches the page from here on.
  await expect(page.getByRole("main").getByText("pending", { exact: true })).toBeVisible();
  await stage.worker.start();
  await expect(page.getByRole("main").getByText("settled", { exact: true })).toBeVisible({ timeout: 30_000 });
});

/** An account of its own, whose chain no other test has touched, with three charges settled and acked. */
async function chargeThrice(stage: Stage): Promise<{ stream: string; ids: string[]; entryIds: string[] }> {
  const account: AccountRef = { id: randomUUID(), ownerId: randomUUID(), type: "user", currency: "USD" };
  await stage.rows("INSERT INTO data.user_profile (id, email, name) VALUES ($1, $2, $2)", [
    account.ownerId,
    `${account.ownerId}@example.test`,
  ]);
  await stage.rows(
    "INSERT INTO data.account_balance (id, owner_userid, currency, balance, credit_limit) VALUES ($1, $2, 'USD', 100, 0)",
    [account.id, account.ownerId],
  );
  const billing = await stage.billing();
  const ids: string[] = [];
  for (let n = 0; n < 3; n++) {
    const made = await charge(billing, {
      account,
      virtualKey: "vk_of_old",
      requestId: randomUUID(),
      digest: "d".repeat(64),
      costNanos: 1_000_000_000n,
      provider: "openai",
      model: "gpt-4o",
      inputTokens: 10,
      outputTokens: 5,
      usageSource: "provider",
    });
    if (made.outcome !== "charged") throw new Error(made.outcome);
    ids.push(made.deductionId);
  }
  const rows = await Promise.all(ids.map((id) => stage.settled(id)));
  const entryIds = rows.map((row) => String(row["stream_entry_id"]));
  const stream = streamKey(shardOf(account.id, billing.numShards));
  const isPending = async (id: string) => (await billing.redis.xpending(stream, GROUP, id, id, 1)).length > 0;
  const acked = async () => !(await Promise.all(entryIds.map(isPending))).includes(true);
  await waitFor(acked, { timeoutMs: 20_000, what: "the acks" });
  return { stream, ids, entryIds };
}

test("7.4 what retention exported is no unexplained deduction: its trace names the files, and the commands on the page find it there", async ({
  page,
  stage,
  signIn,
}) => {
  const directory = await mkdtemp(join(tmpdir(), "exported-"));
  const { redis } = await stage.billing();
  const { stream, ids, entryIds } = await chargeThrice(stage);
  const [id = "", entryId = "", kept = ""] = [ids[0], entryIds[0], ids[2]];
  const act = { actor: "tester", role: "admin", reason: "older than a year" } as const;
  const settings = { before: new Date(Date.now() + 60_000), directory };
  const { files } = await retain(await stage.billing(), settings, act);
  const main = page.getByRole("main");
  await signIn(page, "viewer");

  await test.step("still in its stream: settled, and its rows are in the file", async () => {
    await expectState(page, id, "exported");
    await expect(main.getByText(files[0]?.name ?? "", { exact: true })).toBeVisible();
    await expect(main.locator("[data-look=missing]")).toHaveCount(0);
  });

  const [[, fields] = ["", []]] = await redis.xrange(stream, entryId, entryId);
  await redis.xdel(stream, ...entryIds);
  await test.step("trimmed: nothing is known of it but where it may be", async () => {
    for (const one of [id, entryId, `${stream}/${entryId}`]) {
      await expectState(page, one, "perhaps exported");
      const file = main.getByRole("region", { name: files[0]?.name ?? "" });
      await expect(file).toContainText(files[0]?.sha256 ?? "");
      await expect(file).toContainText(String(files[0]?.deductions));
      const search = await main
        .getByRole("figure", { name: "Look for it, in that directory:" })
        .locator("pre")
        .innerText();
      const found = await promisify(execFile)("sh", ["-c", search], { cwd: directory });
      expect(JSON.parse(found.stdout)).toMatchObject({ usage: { deduction_id: id } });
    }
    const verify = main.getByRole("figure", { name: "Check that the files are as they were sealed:" }).locator("pre");
    await stage.shell(`${await verify.innerText()} --directory ${directory}`);
    await expectAccessible(page, "the trace of an exported deduction");
  });

  await test.step("what is kept, and what says no time, names no file", async () => {
    for (const [one, state] of [
      [kept, "settled"],
      ["no such id", "unknown"],
    ] as const) {
      await expectState(page, one, state);
      await expect(main.getByRole("heading", { name: "Files it may be in" })).toHaveCount(0);
    }
  });

  await test.step("come again too late: it is looked up and set aside, not replayed", async () => {
    await redis.xadd(stream, "*", ...fields);
    const letter = await waitFor(
      async () =>
        (await stage.rows<{ id: string }>("SELECT id FROM data.dead_letter WHERE deduction_id = $1", [id]))[0],
      { timeoutMs: 20_000, what: "the dead letter" },
    );
    await expectState(page, id, "dead-lettered, too old");
    await expect(main.getByRole("region", { name: files[0]?.name ?? "" })).toBeVisible();
    await expect(main.getByRole("button", { name: "Replay" })).toHaveCount(0);
    await expect(main.locator("[data-look=missing]")).toHaveCount(0);
    await stage.drawdown("discard", "--id", letter.id, "--reason", "its row is in the file");
  });
  await rm(directory, { recursive: true });
});
