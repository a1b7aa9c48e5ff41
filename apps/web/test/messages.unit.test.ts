import { describe, expect, it } from "vitest";
import en from "../messages/en/index.ts";
import zhCN from "../messages/zh-CN/index.ts";

type Texts = { [key: string]: string | Texts };

/** "accounts.title" → its text. */
function flat(texts: Texts, above = ""): [string, string][] {
  return Object.entries(texts).flatMap(([key, value]): [string, string][] =>
    typeof value === "string" ? [[above + key, value]] : flat(value, `${above}${key}.`),
  );
}

/** What must be given to a text: {name}, {count, plural, …}. */
function placeholders(text: string): string[] {
  const names = [...text.matchAll(/\{\s*(\w+)\s*(?:,\s*(\w+)|\})/g)].map(
    ([, name, kind]) => `${name} ${kind ?? "text"}`,
  );
  return [...new Set(names)].toSorted();
}

describe("the texts of each language", () => {
  const english = new Map(flat(en));
  const chinese = new Map(flat(zhCN));

  it("have the same keys", () => {
    expect(english.size).toBeGreaterThan(100);
    expect([...chinese.keys()].toSorted()).toEqual([...english.keys()].toSorted());
  });

  it("take the same placeholders", () => {
    const differing = [...english].filter(
      ([key, text]) => placeholders(text).join() !== placeholders(chinese.get(key) ?? "").join(),
    );
    expect(differing).toEqual([]);
  });
});
