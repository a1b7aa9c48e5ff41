import { basename } from "node:path";
import { describe, expect, test } from "vitest";
import { missingPaths } from "./document-paths.ts";
import { borderViolations } from "./import-borders.ts";
import { pathsBelow, ROOT, sourceFiles } from "./source-files.ts";

// The rules of the house that no other tool checks. Each has a sample that breaks it, so that a rule that looks at
// nothing is noticed.

const CODE = [".ts", ".tsx", ".mjs", ".lua", ".css", ".sh"];
const MAX_LINES = 400;
const MAX_LUA_LINES = 100;
const VAGUE = /(^|\/)(utils?|helpers?|common|services?|managers?)(\/|\.[a-z.]+$)/i;
const ENVIRONMENT = /\bprocess\.env\b/;
const ENVIRONMENT_READER = /(^|\/|\.)config\.ts$/;
const PRODUCT_CODE = /^(apps|packages)\/[^/]+\/src\//;

const lineCount = (text: string): number => text.split("\n").length - (text.endsWith("\n") ? 1 : 0);

const readsEnvironment = (path: string, text: string): boolean =>
  PRODUCT_CODE.test(path) && !ENVIRONMENT_READER.test(path) && ENVIRONMENT.test(text);

describe("dependencies point one way, and packages have one door", () => {
  test("in every file", () => {
    const files = sourceFiles(".ts", ".tsx", ".mjs");
    expect(files.length).toBeGreaterThan(20);
    expect(files.flatMap((file) => borderViolations(file))).toEqual([]);
  });

  test.each([
    ["packages/db/src/a.ts", "@drawdown/billing"],
    ["packages/billing/src/a.ts", "@drawdown/local-stack"],
    ["packages/billing/src/a.ts", "../../db/src/schema.ts"],
    ["packages/billing/test/a.live.test.ts", "@drawdown/db/schema"],
    ["apps/runtime/src/gateway/server.ts", "@drawdown/local-stack"],
    ["apps/web/src/app/page.tsx", "@drawdown/runtime"],
  ])("%s may not import %s", (path, specifier) => {
    expect(borderViolations({ path, text: `import { x } from "${specifier}";` })).toHaveLength(1);
    expect(borderViolations({ path, text: `const x = await import("${specifier}");` })).toHaveLength(1);
    expect(borderViolations({ path, text: `import "${specifier}";` })).toHaveLength(1);
  });

  test.each([
    ["packages/billing/src/a.ts", "@drawdown/db"],
    ["packages/billing/test/a.live.test.ts", "@drawdown/local-stack"],
    ["apps/runtime/src/start.ts", "@drawdown/local-stack"],
    ["apps/runtime/src/gateway/server.ts", "../config.ts"],
  ])("%s may import %s", (path, specifier) => {
    expect(borderViolations({ path, text: `import { x } from "${specifier}";` })).toEqual([]);
  });
});

describe("names say something", () => {
  test("no file or folder is called utils, helpers, common, services or managers", () => {
    const paths = pathsBelow(ROOT);
    expect(paths).toContain("package.json");
    expect(paths.filter((path) => VAGUE.test(path))).toEqual([]);
    expect(
      ["a/utils/b.ts", "a/src/helpers.ts", "a/common/b.ts", "a/user-service/b.ts"].map((p) => VAGUE.test(p)),
    ).toEqual([true, true, true, false]);
  });
});

describe("a file holds one idea", () => {
  test(`no file is longer than ${MAX_LINES} lines, no script for Redis longer than ${MAX_LUA_LINES}`, () => {
    const tooLong = sourceFiles(...CODE)
      .map(({ path, text }) => ({ path, lines: lineCount(text) }))
      .filter(({ path, lines }) => lines > (path.endsWith(".lua") ? MAX_LUA_LINES : MAX_LINES));
    expect(tooLong).toEqual([]);
  });
});

describe("configuration has one reader per app", () => {
  test("only config.ts files read the environment", () => {
    const readers = sourceFiles(".ts", ".tsx").filter(({ path, text }) => readsEnvironment(path, text));
    expect(readers.map(({ path }) => path)).toEqual([]);
    expect(readsEnvironment("apps/runtime/src/gateway/server.ts", "const port = process.env.PORT;")).toBe(true);
    expect(readsEnvironment("apps/runtime/src/config.ts", "const port = process.env.PORT;")).toBe(false);
  });
});

describe("documents are true", () => {
  test("they name only paths that exist", () => {
    const broken = sourceFiles(".md").flatMap((file) => missingPaths(file).map((path) => `${file.path}: ${path}`));
    expect(broken).toEqual([]);
  });

  test("a path that is gone is found in code spans and in links", () => {
    const text = "See `packages/db/src/gone.ts:12`, [this](gone.md#part), `packages/*/src` and `package.json`.";
    expect(missingPaths({ path: "docs/page.md", text })).toEqual(["packages/db/src/gone.ts", "docs/gone.md"]);
  });
});

describe("the lockfile is anybody's", () => {
  test("it names no registry", () => {
    const [lockfile] = sourceFiles("package-lock.json").filter(({ path }) => basename(path) === path);
    expect(lockfile?.text).toContain('"lockfileVersion"');
    expect(lockfile?.text).not.toMatch(/"resolved": "https?:/);
  });
});
