import { execFile } from "node:child_process";
import { chown, lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

// Postgres refuses to run as root, and initdb refuses a user that has no name. In containers one often is the first,
// sometimes the second. So a few ways of being somebody else are tried, the least intrusive first.

/** How Postgres is run: words put before the command, and who owns its files, seen from outside. */
export type PostgresUser = { prefix: readonly string[]; owner: number; uid?: number; gid?: number };

type NamedUser = { uid: number; gid: number };

const run = promisify(execFile);

/**
 * Finds a way to run `program` under a user that Postgres accepts.
 * Throws when this user is root (or nameless) and the machine allows no other identity.
 */
export async function choosePostgresUser(program: string): Promise<PostgresUser> {
  const uid = process.getuid?.();
  if (uid === undefined) return { prefix: [], owner: 0 };
  const users = await namedUsers();
  // Directory services hold users that the file does not: only Linux containers make nameless ones.
  const named = process.platform !== "linux" || users.some((user) => user.uid === uid);
  if (uid !== 0 && named) return { prefix: [], owner: uid };

  const other = users.find((user) => user.uid !== 0);
  if (other !== undefined) {
    for (const way of waysToBe(other, uid)) {
      if (await works(way, program)) return way;
    }
  }
  throw new Error(
    uid === 0
      ? "Postgres does not run as root, and this machine allows neither user namespaces (unshare) nor another user. " +
          "Run as an ordinary user, or set DATABASE_URL to a Postgres of your own."
      : `Postgres needs a user with a name, and ${uid} has none in /etc/passwd. ` +
          "Add one, or set DATABASE_URL to a Postgres of your own.",
  );
}

function waysToBe(other: NamedUser, uid: number): PostgresUser[] {
  // In a user namespace the files stay ours, so it works in private folders and needs no change of owner.
  const namespace: PostgresUser = {
    prefix: ["unshare", "--user", `--map-user=${other.uid}`, `--map-group=${other.gid}`],
    owner: uid,
  };
  if (uid !== 0) return [namespace];
  // Where namespaces are forbidden (the default in Docker), root becomes the other user but keeps the right to reach
  // private folders such as /root; without setpriv it becomes the other user and the folders must be open to it.
  const withAccess: PostgresUser = {
    prefix: [
      ...["setpriv", `--reuid=${other.uid}`, `--regid=${other.gid}`, "--clear-groups"],
      ...["--inh-caps=+dac_override", "--ambient-caps=+dac_override"],
    ],
    owner: other.uid,
  };
  return [namespace, withAccess, { prefix: [], owner: other.uid, uid: other.uid, gid: other.gid }];
}

async function works(user: PostgresUser, program: string): Promise<boolean> {
  const [command, ...args] = [...user.prefix, program, "--version"];
  if (command === undefined) return false;
  const { uid, gid } = user;
  const identity = uid === undefined || gid === undefined ? {} : { uid, gid };
  return run(command, args, { cwd: "/", ...identity }).then(
    () => true,
    () => false,
  );
}

async function namedUsers(): Promise<NamedUser[]> {
  const passwd = await readFile("/etc/passwd", "utf8").catch(() => "");
  return passwd
    .split("\n")
    .map((line) => line.split(":"))
    .map((fields) => ({ uid: Number(fields[2] ?? Number.NaN), gid: Number(fields[3] ?? Number.NaN) }))
    .filter((user) => Number.isInteger(user.uid) && Number.isInteger(user.gid));
}

/** Gives a folder and all in it to the user that Postgres will run as; does nothing when it is theirs already. */
export async function giveTo(user: PostgresUser, path: string): Promise<void> {
  const stat = await lstat(path);
  if (process.getuid?.() !== 0 || stat.uid === user.owner) return;
  await chown(path, user.owner, user.owner === 0 ? 0 : (user.gid ?? stat.gid));
  if (!stat.isDirectory()) return;
  for (const name of await readdir(path)) await giveTo(user, join(path, name));
}
