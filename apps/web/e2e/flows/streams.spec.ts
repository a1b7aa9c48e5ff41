import type { Page } from "@playwright/test";
import { expect, type Stage, test } from "../stage.ts";

/** Settles a charge and returns where its entry stands. */
async function settledEntry(stage: Stage): Promise<{ key: string; id: string }> {
  const { deduction_id: deduction } = await stage.charge(stage.key(0));
  const row = await stage.settled(deduction);
  return { key: String(row["stream_key"]), id: String(row["stream_entry_id"]) };
}

async function steer(page: Page, verb: "Pause" | "Resume"): Promise<void> {
  await page.getByRole("button", { name: verb, exact: true }).click();
  await page.getByRole("dialog").getByLabel("Reason").fill(`to ${verb.toLowerCase()} it`);
  await page.getByRole("dialog").getByRole("button", { name: verb, exact: true }).click();
  await expect(page.getByRole("dialog")).toHaveCount(0);
}

test("7.5 a cleanup is paused and goes on, removes what its preview showed, and not what became old enough since", async ({
  page,
  stage,
  signIn,
}) => {
  const { redis } = await stage.billing();
  const old = await settledEntry(stage);
  const shard = old.key.split(":").at(-1) ?? "";
  await signIn(page, "admin");
  await page.goto(`/streams#shard-${shard}`);
  await page.getByRole("button", { name: "Clean up this shard" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Older than (hours)").fill("0");
  await dialog.getByRole("button", { name: "Preview" }).click();
  const found = dialog.getByRole("region", { name: "Preview" });
  await expect(found).toContainText(/[1-9]\d* entr(y|ies) to remove/);
  const young = await settledEntry(stage);
  const remove = dialog.getByRole("button", { name: "Remove" });
  await dialog.getByLabel("Reason").fill("room is short");
  await expect(remove).toBeDisabled();
  await dialog.getByLabel(`Type shard ${shard} to confirm`).fill(`shard ${shard}`);
  await dialog.getByText("The same as a command").click();
  await expect(dialog).toContainText(`npm run drawdown -- cleanup --shard=${shard} --before=`);
  // It waits for a worker: time enough to think again.
  await stage.worker.stop();
  await remove.click();
  await expect(page).toHaveURL(/\/operations\/[0-9a-f-]{36}$/);
  const id = page.url().split("/").at(-1);
  const state = (text: string) => page.getByRole("main").getByText(text, { exact: true });
  await steer(page, "Pause");
  await expect(state("paused")).toBeVisible();
  await stage.worker.start();
  await steer(page, "Resume");
  await expect(state("done")).toBeVisible();
  await expect(page.getByRole("main").getByText("1 of 1")).toBeVisible();
  expect(await redis.xrange(old.key, old.id, old.id)).toEqual([]);
  expect((await redis.xrange(young.key, young.id, young.id)).length).toBe(1);
  expect(await stage.rows("SELECT actor, role, action, reason FROM data.operator_action WHERE id = $1", [id])).toEqual([
    { actor: expect.stringContaining("admin"), role: "admin", action: "cleanup", reason: "room is short" },
  ]);
});

test("7.1 who is no admin is told why he cannot clean up", async ({ page, signIn }) => {
  await signIn(page, "support");
  await page.goto("/streams");
  const button = page.getByRole("button", { name: "Clean up" });
  await expect(button).toHaveAccessibleDescription(/needs the role admin/);
});
