import { execFile } from "node:child_process";
import { createServer } from "node:net";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { freePort, portIsFree } from "../src/index.ts";

test("free ports differ, and are below the range of outgoing connections", async () => {
  const ports = await Promise.all(Array.from({ length: 50 }, () => freePort()));
  expect(new Set(ports).size).toBe(50);
  expect(Math.max(...ports)).toBeLessThan(32_768);
});

test("a port on which somebody listens is not free", async () => {
  const port = await freePort();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  expect(await portIsFree(port)).toBe(false);
  await new Promise((resolve) => server.close(resolve));
  expect(await portIsFree(port)).toBe(true);
});

test("a port that one process was given is given to no other while it lives", async () => {
  // So few to choose from that two who did not know of each other would meet.
  const range = { from: 30_000, to: 30_040 };
  const [mine, others] = [15, 15];
  const here: number[] = [];
  for (let n = 0; n < mine; n++) here.push(await freePort(range));
  const script = `import { freePort } from ${JSON.stringify(import.meta.resolve("../src/free-port.ts"))};
    const ports = [];
    for (let n = 0; n < ${others}; n++) ports.push(await freePort(${JSON.stringify(range)}));
    console.log(JSON.stringify(ports));`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script]);
  const there = JSON.parse(stdout) as number[];
  expect(there).toHaveLength(others);
  expect(new Set([...here, ...there]).size).toBe(mine + others);
});
