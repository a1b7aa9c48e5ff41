import { describe, expect, it } from "vitest";
import { amountDirection, amountParts } from "../src/ui/amount-groups.ts";

const together = (text: string) => {
  const { sign, whole, fraction } = amountParts(text);
  return sign + whole.join("") + fraction.join("");
};

describe("an amount on the screen", () => {
  it.each([
    "0.000000000",
    "-0.003250000",
    "123456789.123456789",
    "-999999999999999999.999999999",
    "1",
    "12",
    "+7.5",
    "n/a",
    "",
  ])("keeps every digit of %j", (text) => expect(together(text)).toBe(text));

  it("groups digits in threes from the point", () => {
    expect(amountParts("-1234567.123456789")).toEqual({
      sign: "-",
      whole: ["1", "234", "567"],
      fraction: [".123", "456", "789"],
    });
  });

  it("tells money in from money out by its text, and zero as neither", () => {
    expect(["0.000000001", "-0.000000001", "0.000000000", "-0", "x"].map(amountDirection)).toEqual([
      "in",
      "out",
      "none",
      "none",
      "none",
    ]);
  });
});
