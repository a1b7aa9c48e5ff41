import { existsSync } from "node:fs";
import { join, posix } from "node:path";
import { ROOT, type SourceFile } from "./source-files.ts";

const OURS = /^(?:apps|packages|docs|scripts|bench|\.ci)\/[\w@[\]().+*/-]*$/;
const CODE_SPAN = /`([^`\n]+)`/g;
const LINK = /\]\(([^)\s]+)\)/g;

/** The paths that a document names and that do not exist. */
export function missingPaths(document: SourceFile): string[] {
  return [...new Set([...namedInCode(document), ...linked(document)])].filter((path) => !existsSync(join(ROOT, path)));
}

// `packages/billing/src/charge.ts:40` names a path too; `packages/*/src` and `docs/decisions/NNNN-*.md` name none.
function namedInCode(document: SourceFile): string[] {
  return [...document.text.matchAll(CODE_SPAN)]
    .map((match) => (match[1] ?? "").replace(/:\d+$/, ""))
    .filter((span) => OURS.test(span) && !span.includes("*"));
}

function linked(document: SourceFile): string[] {
  return [...document.text.matchAll(LINK)]
    .map((match) => (match[1] ?? "").replace(/#.*$/, ""))
    .filter((target) => target !== "" && !/^[a-z]+:/i.test(target))
    .map((target) => posix.join(posix.dirname(document.path), target));
}
