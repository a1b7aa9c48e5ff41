import { describe, expect, it } from "vitest";
import { parsePreferences, preferencesText, zoneOf } from "../src/console/preferences.ts";

describe("preferences", () => {
  it("come back from their cookie", () => {
    const chosen = {
      theme: "dark",
      language: "zh-CN",
      zone: "Asia/Kolkata",
      times: "relative",
      here: "Europe/Berlin",
    } as const;
    expect(parsePreferences(preferencesText(chosen), "en")).toEqual(chosen);
  });

  it("count as not set where the cookie is wrong", () => {
    expect(parsePreferences("theme=<script>&language=xx&zone=Mars%2FBase&times=never&here=x", null)).toEqual({
      theme: "system",
      language: "en",
      zone: "browser",
      times: "absolute",
      here: null,
    });
  });

  it("begin with the first language that the browser asks for and we have", () => {
    expect(parsePreferences(undefined, "fr, zh-TW;q=0.9, en;q=0.8").language).toBe("zh-CN");
    expect(parsePreferences(undefined, "fr").language).toBe("en");
  });

  it("take UTC until the browser has told its zone", () => {
    expect(zoneOf(parsePreferences(undefined, null))).toBe("UTC");
    expect(zoneOf(parsePreferences("here=Asia/Kolkata", null))).toBe("Asia/Kolkata");
    expect(zoneOf(parsePreferences("here=Asia/Kolkata&zone=UTC", null))).toBe("UTC");
  });
});
