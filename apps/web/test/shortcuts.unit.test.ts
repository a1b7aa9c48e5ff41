import { describe, expect, it } from "vitest";
import { idOf, matches } from "../src/console/palette-match.ts";
import { advance, isTyping, strokeText } from "../src/console/shortcuts.ts";

const plain = { ctrlKey: false, metaKey: false, altKey: false };
const known = ["?", "/", "g a", "g d", "mod+k", "j"];

function type(...strokes: string[]): (string | undefined)[] {
  let pending: readonly string[] = [];
  return strokes.map((stroke) => {
    const next = advance(pending, stroke, known);
    ({ pending } = next);
    return next.fired;
  });
}

describe("shortcuts", () => {
  it("fire when their last key is pressed", () => {
    expect(type("g", "a", "j", "g", "d")).toEqual([undefined, "g a", "j", undefined, "g d"]);
  });

  it("begin anew with a key that does not go on", () => {
    expect(type("g", "j", "g", "g", "a", "x", "?")).toEqual([
      undefined,
      "j",
      undefined,
      undefined,
      "g a",
      undefined,
      "?",
    ]);
  });

  it("name keys alike on every system, and leave Alt and modifiers alone", () => {
    expect(strokeText({ ...plain, key: "K", metaKey: true })).toBe("mod+k");
    expect(strokeText({ ...plain, key: "k", ctrlKey: true })).toBe("mod+k");
    expect(strokeText({ ...plain, key: "?" })).toBe("?");
    expect(strokeText({ ...plain, key: "Shift" })).toBeUndefined();
    expect(strokeText({ ...plain, key: "g", altKey: true })).toBeUndefined();
  });

  it("never fire where text is typed", () => {
    const field = { tagName: "INPUT", type: "text", editable: false, role: null };
    expect(isTyping(field)).toBe(true);
    expect(isTyping({ ...field, type: null })).toBe(true);
    expect(isTyping({ ...field, type: "checkbox" })).toBe(false);
    expect(isTyping({ ...field, tagName: "TEXTAREA" })).toBe(true);
    expect(isTyping({ ...field, tagName: "DIV", editable: true })).toBe(true);
    expect(isTyping({ ...field, tagName: "BUTTON", role: "combobox" })).toBe(true);
    expect(isTyping({ ...field, tagName: "A" })).toBe(false);
  });
});

describe("the palette", () => {
  it("takes anything without spaces as an id", () => {
    expect([" 1732-0 ", "req_1", "dead letters", ""].map(idOf)).toEqual(["1732-0", "req_1", undefined, undefined]);
  });

  it("finds names by the beginnings of their words, Chinese ones by any part", () => {
    expect(matches("Dead letters", "let de")).toBe(true);
    expect(matches("Dead letters", "etters")).toBe(false);
    expect(matches("操作记录", "记录")).toBe(true);
  });
});
