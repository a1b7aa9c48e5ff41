import { describe, expect, test } from "vitest";
import { blankPrice, meaningOf, perMillion, perToken, priceOf } from "@/views/settings-prices/price-text.ts";

describe("3 prices are exact whichever way they are written", () => {
  test.each([
    ["0.000002500000", "2.500000"],
    ["0.000000000001", "0.000001"],
    ["999999.999999999999", "999999999999.999999"],
    ["0.000000000000", "0.000000"],
    ["0.1", "100000.000000"],
  ])("3 %s a token is %s a million, to the last digit", (one, million) => {
    expect(perMillion(one)).toBe(million);
    expect(perMillion(perToken(million))).toBe(million);
  });

  test("3 what a price cannot hold is none: more decimals, signs, exponents, nothing", () => {
    for (const typed of ["", " ", "-1", "+1", "1e3", "1.", ".5", "0x1", "1,5", "0.0000001", "9999999999999"])
      expect(priceOf(typed, "million")).toBeUndefined();
    expect(priceOf("0.0000000000001", "one")).toBeUndefined();
    expect(priceOf("0.0000025", "one")).toBe("0.0000025");
    expect(priceOf(" 2.5 ", "million")).toBe("0.0000025");
  });

  test("3 a price that is not complete is none, and a call's price is never a million's", () => {
    const named = { ...blankPrice, provider: "acme", model: "m" };
    expect(meaningOf({ ...named, rates: { inputPrice: "1" } })).toBeUndefined();
    expect(meaningOf({ ...named, rates: { inputPrice: "1", outputPrice: "x" } })).toBeUndefined();
    const priced = meaningOf({ ...named, rates: { inputPrice: "1", outputPrice: "2", requestPrice: "0.01" } });
    expect(priced).toMatchObject({ inputPrice: "0.000001", outputPrice: "0.000002", requestPrice: "0.01" });
  });
});
