import { expect, type Stage, test } from "../stage.ts";

/** Beyond what a store, a worker and the page's own line take to come back on a slow machine. */
const patience = { timeout: 40_000 };

const settledCharge = async (stage: Stage) => {
  const { deduction_id: id } = await stage.charge(stage.key(0));
  await stage.settled(id);
  return id;
};

test.describe("while something is away", () => {
  test.use({ expectedErrors: [/Failed to load resource|ERR_/] });

  test("7 the overview says which part is down, keeps what it had, and recovers by itself", async ({
    page,
    stage,
    signIn,
  }) => {
    test.setTimeout(600_000);
    const id = await settledCharge(stage);
    await signIn(page, "viewer");
    await page.goto("/");
    const verdict = page.getByRole("region", { name: "Verdict" });
    const tail = page.getByRole("list", { name: "Newest deductions" });
    const shards = page.getByRole("link", { name: /^Shard \d+: backlog/ });
    await expect(tail).toContainText(id);
    await expect(shards).toHaveCount(16);
    const parts = [
      { part: stage.redis, says: "Redis cannot be reached" },
      { part: stage.postgres, says: "Postgres cannot be reached" },
      { part: stage.worker, says: "No worker lives" },
    ];
    for (const { part, says } of parts) {
      await part.kill();
      await expect(verdict).toContainText(says, patience);
      await expect(tail).toContainText(id);
      await expect(shards).toHaveCount(16);
      await part.start();
      await expect(verdict).not.toContainText(says, patience);
    }
  });

  test("7 the tail goes on where it was after the console was away", async ({ page, stage, signIn }) => {
    test.setTimeout(600_000);
    await settledCharge(stage);
    await signIn(page, "viewer");
    await page.goto("/");
    const tail = page.getByRole("list", { name: "Newest deductions" });
    await expect(tail).toBeVisible();
    await stage.console.kill();
    await expect(page.getByText("Disconnected, reconnecting…").first()).toBeVisible(patience);
    const missed = await settledCharge(stage);
    await stage.console.start();
    await expect(tail.getByText(missed)).toHaveCount(1, patience);
  });
});

test("7 new deductions wait while the reader is with the tail", async ({ page, stage, signIn }) => {
  const first = await settledCharge(stage);
  await signIn(page, "viewer");
  await page.goto("/");
  const tail = page.getByRole("list", { name: "Newest deductions" });
  await expect(tail).toContainText(first);
  await tail.getByRole("listitem").first().hover();
  const second = await settledCharge(stage);
  await expect(page.getByText("1 new deduction")).toBeVisible();
  await expect(tail).not.toContainText(second);
  await page.getByRole("heading", { level: 1 }).hover();
  await expect(tail).toContainText(second);
  await page.getByRole("link", { name: second }).click();
  await expect(page).toHaveURL(new RegExp(`/trace/${second}$`));
});

test("7 an unknown lag says unknown, and is never called healthy", async ({ page, stage, signIn }) => {
  await settledCharge(stage);
  const { redis } = await stage.billing();
  await stage.worker.stop();
  const key = "stream:deductions:5";
  const ids = [
    await redis.xadd(key, "*", "a", "1"),
    await redis.xadd(key, "*", "a", "2"),
    await redis.xadd(key, "*", "a", "3"),
  ];
  try {
    await redis.xdel(key, ids[1] ?? "");
    await signIn(page, "viewer");
    await page.goto("/");
    await expect(page.getByRole("link", { name: /^Shard 5: backlog unknown, pending 0, lag unknown/ })).toBeVisible();
    await expect(page.getByRole("region", { name: "Verdict" })).toContainText("The lag of one shard is unknown");
    await page.goto("/streams");
    const row = page.getByRole("row", { name: /Shard 5/ });
    await expect(row).toContainText("unknown");
  } finally {
    await redis.xdel(key, ...ids.map(String));
  }
});
