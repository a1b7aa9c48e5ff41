import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ensureRedisServer } from "../src/index.ts";

// The folders are the machine: programs in them are small scripts. `brew` is the package manager that needs no root.
let folder: string;
const lines: string[] = [];

const ensure = () => ensureRedisServer({ onProgress: (line) => lines.push(line), folders: [folder] });

async function program(name: string, script: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return path;
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "drawdown-programs-"));
  lines.length = 0;
});

afterEach(() => rm(folder, { recursive: true }));

test("a Redis or Valkey that is there is used and nothing is installed", async () => {
  const valkey = await program("valkey-server", "echo 'Valkey server v=8.1.1 sha=0'");
  await program("brew", "exit 1");
  expect(await ensure()).toBe(valkey);
  expect(lines).toEqual([]);
});

test("a missing Redis is installed through the package manager, whose lines are the progress", async () => {
  const redis = join(folder, "redis-server");
  const body = "#!/bin/sh\\necho 'Redis server v=7.2.4 sha=0'\\n";
  await program("brew", `echo "pouring $2"; printf "${body}" > ${redis}; /bin/chmod 755 ${redis}`);
  expect(await ensure()).toBe(redis);
  expect(lines).toContain("installing Redis: package redis through brew");
  expect(lines).toContain("pouring redis");
});

test("a Redis that is too old is not used, and the error says its version", async () => {
  const old = await program("redis-server", "echo 'Redis server v=6.0.16 sha=0'");
  await expect(ensure()).rejects.toThrow(`${old} is version 6, and 7.0 or newer is needed`);
});

test("without a package manager the error says what to install and what to set instead", async () => {
  await expect(ensure()).rejects.toThrow(/Install Redis 7\.0 or newer, or set REDIS_URL/);
});

test("a package manager that fails is quoted, and the error names the package", async () => {
  await program("brew", "echo 'no network' >&2; exit 1");
  const failure = ensure();
  await expect(failure).rejects.toThrow(/Install the package redis by hand/);
  await expect(failure).rejects.toThrow(/no network/);
});
