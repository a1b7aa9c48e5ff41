import { describe, expect, test } from "vitest";
import { alertKinds, driftClasses, readRunbook, wordsOf } from "./runbook.ts";
import { scenes } from "./runbook-scenes.ts";

const names = readRunbook().map(({ name }) => name);

describe("docs/runbook.md", () => {
  test("has a section for each kind of alert that the code can open", () => {
    const kinds = alertKinds();
    expect(kinds).toEqual(
      expect.arrayContaining(["backlog", "lost_epoch", "poison_rate", "unaccounted", "broken_chain"]),
    );
    const covered = new Set(names.map((name) => name.split(":")[0]));
    expect(kinds.filter((kind) => !covered.has(kind))).toEqual([]);
  });

  test("has a section for each class of drift", () => {
    const sectionOf = (name: string) =>
      ({ unaccounted_entry: "unaccounted", postgres_went_back: "postgres_went_back" })[name] ?? `drift: ${name}`;
    const classes = driftClasses();
    expect(classes).toEqual(expect.arrayContaining(["foreign_write", "unknown"]));
    expect(classes.map(sectionOf).filter((section) => !names.includes(section))).toEqual([]);
    expect(names).toContain("half_settled");
  });

  test("has no section that is not tried, and nothing is tried that it does not have", () => {
    expect(Object.keys(scenes).toSorted()).toEqual(names.toSorted());
    expect(new Set(names).size).toBe(names.length);
  });

  test("a command whose placeholder nothing stands for is no command", () => {
    expect(wordsOf('repair --account <account> --reason "a b"', { account: "1" })).toEqual([
      ...["repair", "--account", "1", "--reason", "a b"],
    ]);
    expect(() => wordsOf("trace <deduction>", {})).toThrow(/<deduction>/);
  });
});
