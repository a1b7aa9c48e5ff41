import compile from "icu-minify/compile";
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
/** The names a text takes, with how each is used, as use-intl's own parser finds them. */
function placeholders(text: string): string[] {
  const found = new Set<string>();
  const look = (part: unknown): void => {
    if (!Array.isArray(part)) return;
    for (const one of part) {
      if (!Array.isArray(one)) continue;
      const [name, kind, ...inner] = one as unknown[];
      found.add(`${String(name)} ${typeof kind === "number" ? kind : "text"}`);
      for (const options of [kind, ...inner])
        if (typeof options === "object" && options !== null)
          look(Array.isArray(options) ? [options] : Object.values(options).flat());
    }
  };
  look(compile(text));
  return [...found].toSorted();
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
