// Installs the npm packages of the lockfile, when they are not there already.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, run, say, tool } from "./run.mjs";

const OLDEST_NODE = 20;

/** Throws an error with a clear message when Node is too old or the packages cannot be installed. */
export async function ensurePackages() {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < OLDEST_NODE) throw new Error(`Node ${OLDEST_NODE} or newer is needed; this is ${process.versions.node}.`);
  if (packagesAreInstalled()) return;
  say("installing packages (npm ci)");
  // The project's own level is silent, so that `npm run drawdown -- … --json` prints nothing but JSON.
  const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ["npm"];
  const code = await run({
    title: "installing packages",
    command: [...npm, "ci", "--loglevel=error", "--no-progress"],
    // A setting of the machine must not leave out what the build and the tests need.
    env: { npm_config_omit: "" },
    timeoutMs: 900_000,
  });
  if (code !== 0) throw new Error('The packages could not be installed: see above, or run "npm ci" by hand.');
  if (!existsSync(tool("node"))) {
    throw new Error('The pinned Node was not installed: the package "node" needs its install script to run (npm ci).');
  }
}

// npm writes down what it installed, as its last act: an install that was cut off has no such file.
function packagesAreInstalled() {
  const installed = readLock(join(ROOT, "node_modules", ".package-lock.json"));
  const wanted = readLock(join(ROOT, "package-lock.json"));
  if (installed === undefined || wanted === undefined || !existsSync(tool("node"))) return false;
  return Object.entries(wanted).every(([path, { version, link, optional, devOptional, peer }]) => {
    if (!path.startsWith("node_modules/") || link) return true;
    const there = installed[path];
    return there === undefined ? Boolean(optional || devOptional || peer) : there.version === version;
  });
}

function readLock(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages;
  } catch {
    return undefined;
  }
}
