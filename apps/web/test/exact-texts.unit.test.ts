import { describe, expect, it } from "vitest";
import { compareDecimals, drawn, extremes } from "../src/ui/chart-points.ts";
import { indentJson } from "../src/ui/json-text.ts";

describe("JSON on the screen", () => {
  it("keeps every digit, escape and order of keys", () => {
    const text = '{"b":12345678901234567890.10,"a":[1,{"c":"x,\\"y\\":{"}],"e":{},"f":[]}';
    const indented = indentJson(text);
    expect(indented.replaceAll(/\n */g, "").replaceAll(": ", ":")).toBe(text);
    expect(indented.split("\n")).toHaveLength(11);
  });

  it("leaves what is no JSON as it is", () => {
    expect(indentJson("{not json")).toBe("{not json");
  });
});

describe("a chart", () => {
  it("compares values beyond a float exactly", () => {
    expect(compareDecimals("9007199254740993.1", "9007199254740993.2")).toBe(-1);
    expect(compareDecimals("-1.5", "-1.50")).toBe(0);
    expect(extremes(["2", null, "-3.000000001", "1"])).toEqual({ last: "1", lowest: "-3.000000001", highest: "2" });
    expect(extremes([null])).toBeUndefined();
  });

  it("stacks bars on those before them, highest first, and leaves gaps in lines", () => {
    const at = [new Date(1_000), new Date(2_000)];
    const series = [
      { label: "a", values: ["1", "2"] },
      { label: "b", values: ["3", null] },
    ];
    expect(drawn("bars", at, series)).toEqual([
      [1, 2],
      [4, null],
      [1, 2],
    ]);
    expect(drawn("lines", at, series)).toEqual([
      [1, 2],
      [1, 2],
      [3, null],
    ]);
  });
});
