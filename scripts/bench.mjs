// `npm run bench`: installs the packages when they are missing, then hands over to bench/bench.ts under the pinned Node.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { ensurePackages } from "./packages.mjs";
import { ROOT, say, stepEnvironment, tool } from "./run.mjs";

// Standard output belongs to the figures: with `--json` it is one document.
process.stdout.write = process.stderr.write.bind(process.stderr);
try {
  await ensurePackages();
} catch (error) {
  say(error.message);
  process.exit(1);
}
process.removeAllListeners("SIGINT").removeAllListeners("SIGTERM").removeAllListeners("SIGHUP");
const command = ["bench/bench.ts", ...process.argv.slice(2)];
const child = spawn(tool("node"), command, { cwd: ROOT, env: stepEnvironment(), stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
const [code] = await once(child, "exit");
process.exitCode = code ?? 1;
