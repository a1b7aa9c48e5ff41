/** The runbook as a program: its sections, the commands they quote, and what they say comes true. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** What the last part of a section says of a command. */
export type Claim = { command: string } & ({ exits: number } | { prints: string } | { noLongerLists: string });

export type Section = { name: string; symptom: string; look: string[]; act: string[]; worked: Claim[] };

/** Every section of docs/runbook.md. Throws for one that lacks a part, or whose end says of a command what cannot be checked. */
export function readRunbook(): Section[] {
  const text = readFileSync(`${root}/docs/runbook.md`, "utf8");
  return text
    .split(/^## /m)
    .slice(1)
    .map((part) => parseSection(part));
}

function parseSection(text: string): Section {
  const [name = "", ...rest] = text.split("\n");
  const shape =
    /^([\s\S]+?)\n1\. \*\*Look\.\*\*([\s\S]+?)\n2\. \*\*Act\.\*\*([\s\S]+?)\n3\. \*\*It worked\*\*([\s\S]+)$/;
  const [, symptom, look, act, end] = shape.exec(rest.join("\n")) ?? [];
  if (symptom === undefined || look === undefined || act === undefined || end === undefined)
    throw new Error(`The section ${name} lacks one of symptom, look, act, and how to know that it worked.`);
  const [looks, acts, ends, worked] = [commandsOf(look), commandsOf(act), commandsOf(end), claimsOf(end)];
  if (looks.length === 0 || acts.length === 0 || worked.length === 0)
    throw new Error(`The section ${name} has a part without a command.`);
  if (worked.length !== ends.length) throw new Error(`The end of ${name} says of a command what cannot be checked.`);
  return { name, symptom: symptom.trim(), look: looks, act: acts, worked };
}

function commandsOf(text: string): string[] {
  return [...oneLine(text).matchAll(/`npm run drawdown -- ([^`]+)`/g)].map(([, command = ""]) => command);
}

function claimsOf(text: string): Claim[] {
  const claim = /`npm run drawdown -- ([^`]+)` (?:exits (\d+)|prints `([^`]+)`|no longer lists `([^`]+)`)/g;
  return [...oneLine(text).matchAll(claim)].map(([, command = "", exits, prints, kind = ""]) => {
    if (exits !== undefined) return { command, exits: Number(exits) };
    return prints === undefined ? { command, noLongerLists: kind } : { command, prints };
  });
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ");
}

/** The words of a command, with what stands for the words in angle brackets. Throws for one that nothing stands for. */
export function wordsOf(command: string, values: Readonly<Record<string, string>>): string[] {
  const words = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain = ""]) => quoted ?? plain);
  return words.map((word) =>
    word.replace(/<(\w+)>/, (_, name: string) => {
      const value = values[name];
      if (value === undefined) throw new Error(`Nothing that was printed stands for <${name}> in: ${command}`);
      return value;
    }),
  );
}

/** Every kind of alert that the code can open. */
export function alertKinds(): string[] {
  const kinds = sources().flatMap((source) =>
    /\b(?:openAlert|keepInStep)\(/.test(source)
      ? [...source.matchAll(/\bkind(?::| =) "([a-z_]+)"|keepInStep\(billing, "([a-z_]+)"/gi)].map(
          ([, plain, inStep]) => plain ?? inStep ?? "",
        )
      : [],
  );
  return [...new Set(kinds)].toSorted();
}

/** Every class of drift that a reconciliation can name. */
export function driftClasses(): string[] {
  const source = readFileSync(`${root}/packages/billing/src/reconcile.ts`, "utf8");
  const [, union = ""] = /export type DriftClass =([^;]+);/.exec(source) ?? [];
  return [...union.matchAll(/"(\w+)"/g)].map(([, name = ""]) => name).toSorted();
}

function sources(): string[] {
  return ["packages/billing/src", "packages/db/src", "apps/runtime/src"].flatMap((folder) =>
    readdirSync(`${root}/${folder}`, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => readFileSync(`${root}/${folder}/${name}`, "utf8")),
  );
}
