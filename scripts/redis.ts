// Makes sure that this machine has a Redis, with the package manager's lines as progress.
import { ensureRedisServer } from "@drawdown/local-stack";

try {
  await ensureRedisServer({ onProgress: (line) => process.stdout.write(`${line}\n`) });
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
