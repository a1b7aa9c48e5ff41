import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, realpath, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { Client } from "pg";
import { freePort, portIsFree } from "./free-port.ts";
import { livingOwner, recordOwner } from "./owner.ts";
import { findPostgresBinaries, type PostgresBinaries } from "./postgres-binaries.ts";
import { choosePostgresUser, giveTo, type PostgresUser } from "./postgres-user.ts";
import { type StopStep, stopProcess, worksIn } from "./processes.ts";
import { type ServerProcess, startServerProcess } from "./server-process.ts";
import { waitFor } from "./wait-for.ts";

// A real Postgres in one folder: `data` is the cluster, `password` belongs to its only user. It listens on 127.0.0.1
// alone, and with a password: its user is a superuser, who could run programs as whoever started the stack.

export type RunningServer = {
  url: string;
  port: number;
  pid: number;
  /** Stops it gently and waits; harmless twice. */
  stop(): Promise<void>;
  /** SIGKILL, as a crash would; harmless twice. Its data stays for the next start. */
  kill(): Promise<void>;
};

export type PostgresOptions = {
  /** The folder that holds everything of this server; made when missing, used again when there. */
  dir: string;
  /** The port on 127.0.0.1; without it any free one. */
  port?: number;
  /** Postgres settings (`name: value`) beside the defaults here. */
  settings?: Record<string, string>;
  onProgress?: (line: string) => void;
};

const USER = "drawdown";
const DATABASE = "drawdown";
const LOCALE = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"];
const FAST_STOP: readonly StopStep[] = [
  { signal: "SIGINT", waitMs: 20_000 },
  { signal: "SIGQUIT", waitMs: 5_000 },
  { signal: "SIGKILL", waitMs: 5_000 },
];

const run = promisify(execFile);

/**
 * Starts Postgres on the folder's data, making the cluster the first time. A server that a crashed process left behind
 * on the same folder is stopped first. Throws when the port is taken, or a living process runs a server there.
 */
export async function startPostgres(options: PostgresOptions): Promise<RunningServer> {
  const progress = options.onProgress ?? (() => {});
  if (options.port !== undefined && !(await portIsFree(options.port))) throw portTaken(options.port);
  await mkdir(options.dir, { recursive: true, mode: 0o700 });
  const dir = await realpath(options.dir);
  const data = join(dir, "data");
  const binaries = await findPostgresBinaries();
  const user = await choosePostgresUser(binaries.postgres);
  await removeLeftOver(dir, data, progress);
  const release = await recordOwner(dir);
  try {
    const password = await readOrMakePassword(dir);
    if (!existsSync(data)) {
      progress("creating the Postgres cluster");
      await createCluster({ dir, data, binaries, user });
    }
    await giveTo(user, data);
    const { server, port } = await startOnSomePort({ dir, data, binaries, user, password, options });
    return {
      url: urlOf(port, password, DATABASE),
      port,
      pid: server.pid,
      stop: () => server.stop().then(release),
      kill: () => server.kill().then(release),
    };
  } catch (error) {
    await release();
    throw error;
  }
}

/** Stops the Postgres that a process, now dead, left running on this folder. */
export async function stopLeftOverPostgres(dir: string): Promise<void> {
  const pid = await leftOverPid(join(dir, "data"));
  if (pid !== undefined) await stopProcess(pid, FAST_STOP);
}

async function removeLeftOver(dir: string, data: string, progress: (line: string) => void): Promise<void> {
  const pid = await leftOverPid(data);
  if (pid === undefined) {
    // What is there names a process that is gone, or one that got its number since: Postgres would refuse to start.
    await rm(join(data, "postmaster.pid"), { force: true });
    return;
  }
  const owner = await livingOwner(dir);
  if (owner !== undefined) throw new Error(`Postgres in ${dir} is in use by process ${owner}.`);
  progress(`stopping the Postgres that a crash left behind (process ${pid})`);
  await stopProcess(pid, FAST_STOP);
}

async function leftOverPid(data: string): Promise<number | undefined> {
  const file = await readFile(join(data, "postmaster.pid"), "utf8").catch(() => "");
  const pid = Number.parseInt(file, 10);
  return pid > 0 && (await worksIn(pid, await realpath(data))) ? pid : undefined;
}

async function readOrMakePassword(dir: string): Promise<string> {
  const file = join(dir, "password");
  const known = await readFile(file, "utf8").catch(() => "");
  if (known !== "") return known;
  const password = randomBytes(18).toString("hex");
  await writeFile(file, password, { mode: 0o600 });
  return password;
}

type Place = { dir: string; data: string; binaries: PostgresBinaries; user: PostgresUser };

// Made beside and moved into place, so that a crash in the middle leaves no half-made cluster.
async function createCluster({ dir, data, binaries, user }: Place): Promise<void> {
  const unfinished = join(dir, "data.new");
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  await giveTo(user, unfinished);
  await giveTo(user, join(dir, "password"));
  const [program = binaries.initdb, ...args] = [
    ...user.prefix,
    ...[binaries.initdb, `--pgdata=${unfinished}`, `--username=${USER}`, `--pwfile=${join(dir, "password")}`],
    ...["--auth=scram-sha-256", "--no-instructions", ...LOCALE],
  ];
  const { uid, gid } = user;
  const identity = uid === undefined || gid === undefined ? {} : { uid, gid };
  await run(program, args, { cwd: "/", env: { PATH: "/usr/bin:/bin:/usr/sbin:/sbin", LC_ALL: "C" }, ...identity });
  await rename(unfinished, data);
}

type Start = Place & { password: string; options: PostgresOptions };

// Between finding a free port and binding it another program may take it; and after a SIGKILL the old server's
// children need a moment to notice. Both are tried again; a port that was asked for is not.
async function startOnSomePort(start: Start): Promise<{ server: ServerProcess; port: number }> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const port = start.options.port ?? (await freePort());
    try {
      return { server: await startOnPort(start, port), port };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const bindFailed = reason.includes("could not bind");
      if (bindFailed && start.options.port !== undefined) throw portTaken(port);
      const passing = bindFailed || reason.includes("shared memory block") || reason.includes("lock file");
      if (!passing || performance.now() > deadline) throw error;
      start.options.onProgress?.("waiting for the previous Postgres to end");
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

async function startOnPort(start: Start, port: number): Promise<ServerProcess> {
  const { dir, data, binaries, user, password } = start;
  const settings: Record<string, string> = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: "",
    max_connections: "200",
    timezone: "UTC",
    log_timezone: "UTC",
    ...start.options.settings,
  };
  const server = await startServerProcess({
    command: [
      ...[...user.prefix, binaries.postgres, "-D", data],
      ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ],
    logFile: join(dir, "postgres.log"),
    stopSteps: FAST_STOP,
    ...(user.uid === undefined ? {} : { uid: user.uid }),
    ...(user.gid === undefined ? {} : { gid: user.gid }),
  });
  try {
    await waitFor(() => server.hasExited() || answers(port, password), {
      timeoutMs: 60_000,
      what: "Postgres to answer",
      intervalMs: 25,
    });
    if (server.hasExited()) throw new Error(`Postgres did not start:\n${await server.logTail()}`);
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function answers(port: number, password: string): Promise<boolean> {
  const client = new Client({ connectionString: urlOf(port, password, "postgres"), connectionTimeoutMillis: 5_000 });
  // A server that is still starting cuts the connection, which the client also reports as an event.
  client.on("error", () => {});
  try {
    await client.connect();
    const known = await client.query("SELECT 1 FROM pg_database WHERE datname = $1", [DATABASE]);
    if (known.rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
    return true;
  } finally {
    await client.end().catch(() => {});
  }
}

function urlOf(port: number, password: string, database: string): string {
  return `postgres://${USER}:${password}@127.0.0.1:${port}/${database}`;
}

function portTaken(port: number): Error {
  return new Error(`Port ${port} on 127.0.0.1 is taken, so Postgres cannot use it.`);
}
