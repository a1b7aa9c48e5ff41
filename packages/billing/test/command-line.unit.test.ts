import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { commandFor, quote, searchFor } from "../src/command-line.ts";

/** What the shell makes of a line: the words, and what stands on standard input. */
function shell(line: string): { words: string[]; input: string } {
  const script = `drawdown() { printf '%s\\0' "$@"; printf 'INPUT'; cat; }\n${line}\n`;
  const out = execFileSync("sh", ["-c", script], { input: "", encoding: "utf8" });
  const [words = "", input = ""] = out.split(/INPUT([^]*)$/);
  return { words: words.split("\0").slice(0, -1), input };
}

const hostile = [
  "",
  " ",
  "it's",
  "'; rm -rf / #",
  "$(touch /tmp/pwned) `id` ${HOME} $'x' \\ \" ! * ? [a] ~ {1,2} < > | & ; ( )",
  "-rf",
  "--reason=x",
  "two\nlines\n\n",
  "<script>alert(1)</script> %s %n",
  "\u202eevil\u202c \u200b\ufeff",
  "\u001b[201~\rid\u0007\u0003\u0085\t.",
  "余额不足 🧾 é",
  "x".repeat(10_000),
];

describe("the equivalent command", () => {
  test.each(hostile)("a hostile text is one word of exactly that text, and nothing of it runs: %j", (text) => {
    expect(shell(`drawdown ${quote(text)} end`).words).toEqual([text, "end"]);
    const credit = { act: "credit", accountId: "a", amount: "-1.5", category: "adjustment", reference: text } as const;
    expect(shell(commandFor(credit, { reason: text, actor: text })).words).toEqual([
      "credit",
      "--category=adjustment",
      `--reference=${text}`,
      `--reason=${text}`,
      `--actor=${text}`,
      "--",
      "a",
      "-1.5",
    ]);
  });

  test("what steers a terminal, or turns what is read around, is not in the line as it is", () => {
    expect(quote("a\u001b[201~b\u202ec")).toBe(`'a'"$(printf '\\033')"'[201~b'"$(printf '\\342\\200\\256')"'c'`);
    expect(() => quote("a\0b")).toThrow(RangeError);
  });

  test("an exported deduction is looked for by its own id or its entry's, and nothing of it runs", () => {
    const id = "ded_1700000000000_$(touch /tmp/pwned); x";
    expect(shell(searchFor(id, "usage_log/a.jsonl.gz").replace("zgrep", "drawdown")).words).toEqual([
      id,
      "usage_log/a.jsonl.gz",
    ]);
    for (const entry of ["1700000000000-7", "stream:deductions:3/1700000000000-7"])
      expect(searchFor(entry, "usage_log/a.jsonl.gz")).toBe("zgrep 1700000000000-7 usage_log/a.jsonl.gz");
  });

  test("many targets are given line by line, and a target that is no word is refused", () => {
    const ids = Array.from({ length: 1_000 }, (_, i) => `stream:deductions:3/1700000000000-${i}`);
    const line = commandFor({ act: "replay", selection: { kind: "named", ids } }, { reason: "it's due" });
    expect(shell(line)).toEqual({
      words: ["replay", "--yes", "--ids-from=-", "--reason=it's due"],
      input: `${ids.join("\n")}\n`,
    });
    const odd = [...ids, "IDS\nid"];
    expect(() => commandFor({ act: "discard", ids: odd }, { reason: "x" })).toThrow(RangeError);
  });
});
