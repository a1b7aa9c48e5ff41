import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);
const bench = async (...args: string[]) => await run(process.execPath, ["bench/bench.ts", ...args]);

test("Section 9: a row by its name is measured against its target, as data", { timeout: 120_000 }, async () => {
  const { stdout } = await bench("--json", "--only", "redis_bytes_per_account");
  const { machine, rows } = JSON.parse(stdout) as { machine: string; rows: { value: number; against: string }[] };
  expect(machine).toContain("appendfsync always");
  expect(rows).toMatchObject([{ row: "redis_bytes_per_account", target: "≤ 256", met: true }]);
  expect(rows[0]?.value).toBeGreaterThan(100);
});

test("Section 9: a row that there is not is refused before anything is started, and so is a chart", async () => {
  await expect(bench("--only", "no_such_row")).rejects.toMatchObject({ code: 2, stdout: "" });
  await expect(bench("--growth", "--only", "charge_vs_redis")).rejects.toMatchObject({ code: 2, stdout: "" });
});
