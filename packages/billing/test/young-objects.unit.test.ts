// A process that charges or settles makes every object in the young generation, whatever survived before it.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

/**
 * Keeps what it makes through some collections, as a backlog does, and tells how many of a thousand objects V8 made old after the round when they
 * were most. On one thread: else it depends on what else the machine does when code is optimized.
 */
const afterBacklog = `
  const make = (n) => ({ n, args: [String(n), "b"] });
  let backlog = [], most = 0;
  for (let round = 0; round < 60 && most < 900; round++) {
    backlog = Array.from({ length: 50_000 }, (_, n) => make(n));
    let old = 0;
    for (let n = 0; n < 1_000; n++) if (!%InYoungGeneration(make(n))) old++;
    most = Math.max(most, old);
  }
  console.log(most);`;
const madeOld = (...options: string[]) =>
  Number(
    execFileSync(process.execPath, ["--allow-natives-syntax", "--single-threaded", ...options, "-e", afterBacklog], {
      encoding: "utf8",
    }),
  );

test("after a backlog an object of a process of ours is young when it is made, which V8 by itself would not have", () => {
  const ours = fileURLToPath(new URL("../src/index.ts", import.meta.url));
  expect(madeOld()).toBeGreaterThan(899);
  expect(madeOld("--import", ours)).toBe(0);
});
