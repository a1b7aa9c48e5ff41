import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { installerEnvironment, searchPath } from "./config.ts";

// No npm package ships a Redis, so the machine's own is used, and installed by its package manager when there is none.

const PROGRAMS = ["redis-server", "valkey-server"];
const USUAL_FOLDERS = [
  ...["/usr/bin", "/usr/local/bin", "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/sbin", "/bin"],
  ...["/opt/homebrew/opt/redis/bin", "/opt/homebrew/opt/valkey/bin", "/home/linuxbrew/.linuxbrew/bin"],
];
const OLDEST = 7;

/** One way to install the server: the program it needs and the script that does it. */
type Installer = { manager: string; packageName: string; script: string; asRoot: boolean };

// Debian starts a service when it is installed. policy-rc.d is its way to forbid that; one that is there is kept.
const APT = `
if [ ! -e /usr/sbin/policy-rc.d ]; then
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  trap 'exit 130' INT TERM
  printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
  chmod 755 /usr/sbin/policy-rc.d
fi
apt-get -q -o DPkg::Lock::Timeout=120 update || true
apt-get -q -o DPkg::Lock::Timeout=120 install -y --no-install-recommends redis-server ||
  apt-get -q -o DPkg::Lock::Timeout=120 install -y --no-install-recommends valkey-server || exit 1
if command -v systemctl >/dev/null; then systemctl disable redis-server valkey-server >/dev/null 2>&1 || true; fi
`;

const INSTALLERS: readonly Installer[] = [
  { manager: "apt-get", packageName: "redis-server", script: APT, asRoot: true },
  {
    manager: "dnf",
    packageName: "redis",
    script: "dnf install -y --setopt=install_weak_deps=False redis || dnf install -y valkey",
    asRoot: true,
  },
  {
    manager: "apk",
    packageName: "redis",
    script: "apk add --no-cache redis || apk add --no-cache valkey",
    asRoot: true,
  },
  { manager: "brew", packageName: "redis", script: "brew install redis", asRoot: false },
];

export type EnsureOptions = {
  onProgress: (line: string) => void;
  /** Where programs are looked for, package managers too: PATH and the usual folders. */
  folders?: readonly string[];
};

/**
 * The path of a Redis (7.0 or newer) or Valkey server, installed first when there is none. `onProgress` gets what the
 * package manager says, line by line. Throws an error that names the package when it cannot be installed.
 */
export async function ensureRedisServer({ onProgress, folders = usualFolders() }: EnsureOptions): Promise<string> {
  const { found, tooOld } = await findRedisServer(folders);
  if (found !== undefined) return found;
  const problem = tooOld ?? "There is no redis-server (or valkey-server) on this machine";
  const installer = await findInstaller(folders);
  if (installer === undefined) {
    throw new Error(
      `${problem}, and no package manager that could install one (apt-get, dnf, apk, brew). ` +
        "Install Redis 7.0 or newer, or set REDIS_URL to a Redis of your own.",
    );
  }
  const byHand = `Install the package ${installer.packageName} by hand, or set REDIS_URL to a Redis of your own.`;
  const privileges = installer.asRoot && process.getuid?.() !== 0 ? await sudo() : [];
  if (privileges === undefined) throw new Error(`${problem}, and installing one needs root. ${byHand}`);
  onProgress(`installing Redis: package ${installer.packageName} through ${installer.manager}`);
  const script = [...privileges, "/bin/sh", "-c", installer.script];
  const said = await runScript(script, { onProgress, folders });
  const after = await findRedisServer(folders);
  if (after.found !== undefined) return after.found;
  throw new Error(
    `${after.tooOld ?? problem}, and ${installer.manager} did not install a fitting one. ${byHand}\n${said.slice(-8).join("\n")}`,
  );
}

function usualFolders(): string[] {
  return [...new Set([...searchPath(), ...USUAL_FOLDERS])];
}

async function findRedisServer(folders: readonly string[]): Promise<{ found?: string; tooOld?: string }> {
  let tooOld: string | undefined;
  for (const folder of folders) {
    for (const program of PROGRAMS) {
      const path = join(folder, program);
      const version = (await isExecutable(path)) ? await majorVersion(path) : undefined;
      if (version === undefined) continue;
      if (version >= OLDEST) return { found: path };
      tooOld = `${path} is version ${version}, and ${OLDEST}.0 or newer is needed`;
    }
  }
  return tooOld === undefined ? {} : { tooOld };
}

// "Redis server v=7.0.15 sha=…" or "Valkey server v=8.1.1 sha=…"
async function majorVersion(path: string): Promise<number | undefined> {
  const { stdout } = await promisify(execFile)(path, ["--version"]).catch(() => ({ stdout: "" }));
  const major = /v=(\d+)\./.exec(stdout)?.[1];
  return major === undefined ? undefined : Number(major);
}

async function findInstaller(folders: readonly string[]): Promise<Installer | undefined> {
  for (const installer of INSTALLERS) {
    for (const folder of folders) {
      if (await isExecutable(join(folder, installer.manager))) return installer;
    }
  }
  return undefined;
}

// `-n`: a password prompt would hang where nobody sits.
async function sudo(): Promise<readonly string[] | undefined> {
  const words = ["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive"];
  return promisify(execFile)("sudo", ["-n", "true"]).then(
    () => words,
    () => undefined,
  );
}

async function runScript(command: readonly string[], options: Required<EnsureOptions>): Promise<string[]> {
  const [program = "/bin/sh", ...args] = command;
  const env = { ...installerEnvironment(), PATH: options.folders.join(":") };
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env });
  const said: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      said.push(line);
      options.onProgress(line);
    });
  }
  await once(child, "close");
  return said;
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
