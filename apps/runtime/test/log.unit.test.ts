import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { scrub, scrubLine } from "../src/log.ts";

describe("a log line", () => {
  const secret = "tZ0bqXh3_fG7Kp-9mN2vR5sW8yB1cD4eA6gJ0kL3oQu";

  it("holds no API key, bearer token, password of a URL or provider key, wherever they stand", () => {
    const line = JSON.stringify({
      level: 30,
      msg: `refused vk_demo.${secret} with Bearer ${secret}`,
      err: { message: "connect postgres://me:p%40ss@db:5432/x failed", stack: "at redis://:hush-hush@cache" },
      headers: { authorization: "anything", "x-api-key": "short" },
      list: ["sk-proj-abcdefghijklmnop"],
    });
    const clean = scrubLine(line, []);
    for (const hidden of [secret, "p%40ss", "hush-hush", "anything", '"short"', "sk-proj-abcdefghijklmnop"]) {
      expect(clean).not.toContain(hidden);
    }
    expect(JSON.parse(clean)).toMatchObject({
      level: 30,
      err: { message: "connect postgres://me:[redacted]@db:5432/x failed" },
    });
  });

  it("holds none of the secrets it was told of, and stays JSON when one is also the name of a field", () => {
    const clean = scrubLine('{"level":30,"time":"now","msg":"the msg is \\"quo\\\\ted\\" at a time"}\n', [
      "msg ",
      "quo\\ted",
      "time",
    ]);
    expect(JSON.parse(clean)).toMatchObject({ time: "now", msg: expect.not.stringContaining("quo\\ted") });
    expect(clean.endsWith("\n")).toBe(true);
  });

  it("is written by every logger of ours without secrets, and without what drivers hang on to their errors", () => {
    const program = `
      import { openLog } from ${JSON.stringify(new URL("../src/log.ts", import.meta.url).href)};
      const error = Object.assign(new Error("AUTH failed"), { code: "WRONGPASS", command: { name: "auth", args: ["h1dden-pass"] } });
      const log = openLog("test", { level: "info", secrets: ["h1dden-pass"] });
      log.error({ err: new Error("outer with h1dden-pass", { cause: error }), url: "redis://:${secret}@cache" }, "Bearer ${secret}");`;
    const { stderr, stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
      encoding: "utf8",
    });
    expect(stdout).toBe("");
    const { err, msg, url } = JSON.parse(stderr);
    expect({ msg, url }).toEqual({ msg: "Bearer [redacted]", url: "redis://:[redacted]@cache" });
    expect(err).toMatchObject({
      message: "outer with [redacted]",
      cause: { code: "WRONGPASS", message: "AUTH failed" },
    });
    expect(stderr).not.toMatch(/h1dden|args/);
  });

  it("keeps what is no secret", () => {
    const text = "ded_1795371711729_d93b768dd5ac75b9debc 00000000-0000-4000-8000-000000000031 http://127.0.0.1:4000/v1";
    expect(scrub(text, [])).toBe(text);
  });
});
