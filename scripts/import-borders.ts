import { posix } from "node:path";
import type { SourceFile } from "./source-files.ts";

// Dependencies point one way: web, runtime → billing → db. A package has one door, `src/index.ts`.

const MAY_IMPORT: Record<string, readonly string[]> = {
  "packages/db": [],
  "packages/billing": ["db"],
  "packages/local-stack": [],
  "apps/runtime": ["billing", "db"],
  "apps/web": ["billing", "db"],
};

/** What a browser may have of a package: modules that need nothing but themselves. Its one door would bring the whole package. */
const SIDE_DOORS: Record<string, readonly string[]> = { billing: ["command-line", "money"] };

/** What bench/ alone may have: the inside of what it measures, and what fills its stores. */
const BENCH_DOORS: Record<string, readonly string[]> = { billing: ["measured"], db: ["measured"] };

/** The processes of the product never start servers: only `npm start`, the tests and the benchmarks do. */
const MAY_START_SERVERS = /^(apps\/runtime\/src\/start(\.ts|\/.*)|scripts\/|bench\/|vitest\.)|\/test\/|\/e2e\//;

const IMPORT = /(?:\bfrom|\bimport|\bimport\s*\()\s*["']([^"']+)["']/g;

/** What is wrong with the imports of one file, one sentence each. */
export function borderViolations(file: SourceFile): string[] {
  const workspace = workspaceOf(file.path);
  return [...file.text.matchAll(IMPORT)]
    .map((match) => match[1] ?? "")
    .map((specifier) => violation(file.path, workspace, specifier))
    .filter((sentence) => sentence !== undefined);
}

function violation(path: string, workspace: string, specifier: string): string | undefined {
  if (specifier.startsWith(".")) {
    const target = workspaceOf(posix.join(posix.dirname(path), specifier));
    return target === workspace ? undefined : `${path} reaches into ${target} by a relative path: ${specifier}`;
  }
  if (!specifier.startsWith("@drawdown/")) return undefined;
  const [name = "", ...inside] = specifier.slice("@drawdown/".length).split("/");
  const doors = workspace === "apps/web" ? SIDE_DOORS : path.startsWith("bench/") ? BENCH_DOORS : {};
  const sideDoor = doors[name]?.includes(inside.join("/")) === true;
  if (inside.length > 0 && !sideDoor) return `${path} goes past the door of @drawdown/${name}: ${specifier}`;
  if (name === "local-stack") {
    return MAY_START_SERVERS.test(path) ? undefined : `${path} must not import @drawdown/local-stack`;
  }
  const allowed = MAY_IMPORT[workspace];
  const isTest = /\/(test|e2e)\//.test(path);
  if (allowed === undefined || isTest || allowed.includes(name)) return undefined;
  return `${path} must not import @drawdown/${name}: dependencies point web, runtime → billing → db`;
}

function workspaceOf(path: string): string {
  const [kind = "", name = ""] = path.split("/");
  return kind === "apps" || kind === "packages" ? `${kind}/${name}` : ".";
}
