import { expect, test } from "../stage.ts";

test.use({ demo: true });

test("7.9 the demo's data are in the console's stores while a worker runs", async ({ stage }) => {
  const [counted] = await stage.rows<{ letters: number }>(
    "SELECT count(*)::int AS letters FROM data.dead_letter WHERE state = 'open'",
  );
  expect(counted?.letters).toBe(3);
});
