import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

export const ROOT = join(import.meta.dirname, "..");

const NOT_OURS = new Set(["node_modules", ".git", ".next", ".turbo", ".drawdown", "test-results", "playwright-report"]);

/** A file of the repository: its path from the root with forward slashes, and its text. */
export type SourceFile = { path: string; text: string };

/** Every file with one of these endings that is ours, in a stable order. */
export function sourceFiles(...endings: string[]): SourceFile[] {
  return pathsBelow(ROOT)
    .filter((path) => endings.some((ending) => path.endsWith(ending)))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }));
}

/** Every path that is ours, folders excluded. */
export function pathsBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !NOT_OURS.has(entry.name))
    .toSorted((a, b) => a.name.localeCompare(b.name))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? pathsBelow(path) : [relative(ROOT, path).replaceAll("\\", "/")];
    });
}
