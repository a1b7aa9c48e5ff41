import { describe, expect, it } from "vitest";
import { durationText, momentText, relativeText, wallMoment, wallText, zoneText } from "../src/ui/time.ts";

const moment = new Date("2026-11-22T20:03:05.007Z");

describe("a moment on the screen", () => {
  it("is told in its zone, half hours included", () => {
    expect(momentText(moment, "Asia/Kolkata")).toBe("2026-11-23 01:33:05");
    expect(zoneText(moment, "Asia/Kolkata")).toBe("UTC+05:30");
    expect(momentText(moment, "America/New_York", "milliseconds")).toBe("2026-11-22 15:03:05.007");
    expect(zoneText(moment, "America/New_York")).toBe("UTC−05:00");
    expect(zoneText(moment, "UTC")).toBe("UTC");
    expect(zoneText(moment, "Asia/Kathmandu")).toBe("UTC+05:45");
  });

  it("comes back from what a field of the same zone shows", () => {
    for (const zone of ["Asia/Kolkata", "America/New_York", "UTC", "Pacific/Apia", "Australia/Lord_Howe"])
      expect(wallMoment(wallText(moment, zone), zone)?.toISOString()).toBe("2026-11-22T20:03:05.000Z");
  });

  it("is the first of two where clocks go back, and later where they skip it", () => {
    expect(wallMoment("2026-11-01T01:30", "America/New_York")?.toISOString()).toBe("2026-11-01T05:30:00.000Z");
    expect(wallMoment("2026-03-08T02:30", "America/New_York")?.toISOString()).toBe("2026-03-08T07:30:00.000Z");
    expect(wallMoment("", "UTC")).toBeUndefined();
    expect(wallMoment("2026-02-99T00:00", "UTC")).toBeUndefined();
  });

  it("is told from now in whole units", () => {
    const now = new Date("2026-11-22T20:05:04.000Z");
    expect(relativeText(moment, now, "en")).toBe("1 minute ago");
    expect(relativeText(now, moment, "zh-CN")).toBe("1分钟后");
    expect(relativeText(now, now, "en")).toBe("now");
  });
});

describe("a length of time", () => {
  it("is never rounded up", () => {
    expect([0.129, 999.9, 4_299, 59_999, 185_000, 8_054_000, 529_200_000, -1_500].map(durationText)).toEqual([
      "0.12 ms",
      "999 ms",
      "4.29 s",
      "59.9 s",
      "3 min 5 s",
      "2 h 14 min",
      "6 d 3 h",
      "−1.5 s",
    ]);
  });
});
