import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openStage, type Stage } from "./stage.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

test("docs/embedding.md: its program, of at most 30 lines, charges and settles through packages/billing alone", async () => {
  const page = await readFile(new URL("../../../docs/embedding.md", import.meta.url), "utf8");
  const program = /```ts\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
  expect(program.trimEnd().split("\n").length).toBeLessThanOrEqual(30);
  const account = await stage.account("100");
  const child = spawn(process.execPath, ["--input-type=module-typescript", "-"], {
    cwd: fileURLToPath(new URL("..", import.meta.url)),
    env: { ...process.env, DATABASE_URL: stage.database.url, REDIS_URL: stage.redis.url, ACCOUNT: account.ownerId },
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.end(program);
  const [printed, complaints, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "exit"),
  ]);
  expect({ code, complaints }).toEqual({ code: 0, complaints: "" });
  expect(printed).toMatch(/^ded_\d{13}_\w+ 100000000000n 98500000000n\n$/);
  expect(
    await stage.query(
      "SELECT balance_before, balance_after, request_id FROM data.usage_log WHERE settled_at IS NOT NULL",
    ),
  ).toEqual([{ balance_before: "100.000000000", balance_after: "98.500000000", request_id: "order-4711" }]);
});
