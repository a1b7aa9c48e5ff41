import { Big } from "big.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  divideHalfEven,
  formatPrice,
  formatUnits,
  MAX_AMOUNT_NANOS,
  parseCost,
  parsePrice,
  parseUnits,
  roundPicosToNanos,
} from "../src/money.ts";

const invalidAmount = expect.objectContaining({ name: "BillingError", code: "invalid_amount", retryable: false });

describe("amounts are integer nanos, never floats", () => {
  it("0.1 + 0.2 is 0.3", () => {
    expect(formatUnits(parseUnits("0.1") + parseUnits("0.2"))).toBe("0.300000000");
  });

  it("is exact at 2^53 - 1, 2^53 and 2^53 + 1 nanos", () => {
    for (const nanos of [2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n]) {
      const text = formatUnits(nanos);
      expect(parseUnits(text)).toBe(nanos);
      expect(parseCost(text)).toBe(nanos);
      expect(text.replace(".", "")).toBe(nanos.toString());
    }
    expect(formatUnits(2n ** 53n + 1n)).toBe("9007199.254740993");
  });

  it("is exact at 999,999,999.999999999, the end of numeric(18,9)", () => {
    expect(parseUnits("999999999.999999999")).toBe(MAX_AMOUNT_NANOS);
    expect(parseCost("999999999.999999999")).toBe(MAX_AMOUNT_NANOS);
    expect(formatUnits(MAX_AMOUNT_NANOS)).toBe("999999999.999999999");
  });

  it("is exact at both ends of Redis' integers and refuses what lies beyond", () => {
    expect(parseUnits("9223372036.854775807")).toBe(2n ** 63n - 1n);
    expect(parseUnits("-9223372036.854775807")).toBe(1n - 2n ** 63n);
    expect(() => parseUnits("9223372036.854775808")).toThrow(invalidAmount);
    expect(() => parseUnits("-9223372036.854775808")).toThrow(invalidAmount);
  });

  it("takes every int64 through text and back", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n - 2n ** 63n, max: 2n ** 63n - 1n }), (nanos) => {
        expect(parseUnits(formatUnits(nanos))).toBe(nanos);
      }),
    );
  });
});

describe("parseUnits is strict", () => {
  it.each([
    ["98.5", 98_500_000_000n],
    ["100", 100_000_000_000n],
    ["+1.000000001", 1_000_000_001n],
    ["-0.000000001", -1n],
    ["-0", 0n],
    ["007", 7_000_000_000n],
  ])("reads %s", (text, nanos) => {
    expect(parseUnits(text)).toBe(nanos);
  });

  it.each([
    ..."|.|-|.5|5.|1e3|1,000|1_000| 1|1 |1\n|0x10|--1|NaN|Infinity|٣|0.1234567891".split("|"),
    "9".repeat(300),
    "0".repeat(300),
  ])("refuses %j", (text) => {
    expect(() => parseUnits(text)).toThrow(invalidAmount);
  });

  it.each([[98.5], [null], [undefined], [5n]])("refuses %o, which is no text", (value) => {
    expect(() => parseUnits(value as unknown as string)).toThrow(invalidAmount);
  });

  it("says in its message what was refused, shortened", () => {
    expect(() => parseUnits("7".repeat(5_000))).toThrow(/^The amount "7{64}" is not/);
  });
});

describe("parseCost reads what older producers write as floats", () => {
  it.each([
    ["0.0012000000000000001", 1_200_000n],
    ["1.5e-7", 150n],
    ["1E3", 1_000_000_000_000n],
    ["1e+3", 1_000_000_000_000n],
    ["0.30000000000000004", 300_000_000n],
    ["1.50", 1_500_000_000n],
    ["+2", 2_000_000_000n],
    ["5.", 5_000_000_000n],
    [".5", 500_000_000n],
    ["0", 0n],
    ["0.0", 0n],
    ["-0.0", 0n],
    ["0e999999", 0n],
    ["1e-999999", 0n],
    ["5e-324", 0n],
    ["0.00000000000000000000000000000000000000000000000001", 0n],
  ])("reads %s", (text, nanos) => {
    expect(parseCost(text)).toBe(nanos);
  });

  it("rounds half-even at .5 nanos, and only a true tie is a tie", () => {
    expect(parseCost("0.0000000005")).toBe(0n);
    expect(parseCost("0.0000000015")).toBe(2n);
    expect(parseCost("0.0000000025")).toBe(2n);
    expect(parseCost("2.5e-9")).toBe(2n);
    expect(parseCost("0.00000000250000000000000000000001")).toBe(3n);
    expect(parseCost("0.00000000149999999999999999999999")).toBe(1n);
  });

  it("refuses what rounds past the column and keeps what rounds into it", () => {
    expect(parseCost("999999999.9999999994")).toBe(MAX_AMOUNT_NANOS);
    expect(() => parseCost("999999999.9999999995")).toThrow(invalidAmount);
    expect(() => parseCost("1000000000")).toThrow(invalidAmount);
    expect(() => parseCost("1e9")).toThrow(invalidAmount);
    expect(() => parseCost("1e308")).toThrow(invalidAmount);
    expect(() => parseCost("1e999999")).toThrow(invalidAmount);
  });

  it.each([
    ..."|NaN|nan|Infinity|-Infinity|inf|-1|-1e-30|e5|.|+|1e|1e5.0|1.2.3|0x1p3| 1|1 |1,5|null|true".split("|"),
    "9".repeat(300),
    `0.${"0".repeat(300)}1`,
    `1e${"9".repeat(30)}`,
  ])("refuses %j", (text) => {
    expect(() => parseCost(text)).toThrow(invalidAmount);
  });

  it("agrees with an independent big-decimal library for any float's text", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 999_999_999, noNaN: true }), (cost) => {
        const expected = new Big(String(cost)).times(1e9).round(0, Big.roundHalfEven).toFixed();
        expect(parseCost(String(cost)).toString()).toBe(expected);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("prices have 12 decimals", () => {
  it.each([
    ["0.0000025", 2_500_000n],
    ["0", 0n],
    ["0.000000000001", 1n],
    ["999999.999999999999", 999_999_999_999_999_999n],
  ])("reads %s and writes it back", (text, picos) => {
    expect(parsePrice(text)).toBe(picos);
    expect(parsePrice(formatPrice(picos))).toBe(picos);
  });

  it("writes all 12 decimals", () => {
    expect(formatPrice(2_500_000n)).toBe("0.000002500000");
  });

  it.each(["-1", "+1", "1e-6", "0.0000000000001", "1000000", "", "NaN", "1".repeat(300)])("refuses %j", (text) => {
    expect(() => parsePrice(text)).toThrow(invalidAmount);
  });
});

describe("rounding is half-even", () => {
  it.each([
    [500n, 0n],
    [501n, 1n],
    [1_499n, 1n],
    [1_500n, 2n],
    [2_500n, 2n],
    [3_500n, 4n],
    [-500n, 0n],
    [-1_500n, -2n],
    [-2_500n, -2n],
    [-2_501n, -3n],
  ])("%i picos are %i nanos", (picos, nanos) => {
    expect(roundPicosToNanos(picos)).toBe(nanos);
  });

  it("agrees with an independent big-decimal library", () => {
    const magnitude = fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n });
    fc.assert(
      fc.property(magnitude, fc.bigInt({ min: 0n, max: 6n }), (numerator, power) => {
        const expected = new Big(numerator.toString()).div(10 ** Number(power)).round(0, Big.roundHalfEven);
        expect(divideHalfEven(numerator, 10n ** power).toString()).toBe(expected.toFixed().replace(/^-0$/, "0"));
      }),
    );
  });
});
