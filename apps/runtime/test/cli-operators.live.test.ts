import { closeDb, connectDb, type Db } from "@drawdown/db";
import { testDatabase } from "@drawdown/local-stack";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "./stage.ts";

let db: Db;
let env: Record<string, string>;
beforeAll(async () => {
  const { url } = await testDatabase();
  db = connectDb(url);
  env = { DATABASE_URL: url };
});
afterAll(() => closeDb(db));

const why = ["--reason", "a test", "--actor", "tester"];

async function operators(...args: string[]): Promise<{ code: number | null; out: Record<string, unknown> }> {
  const { code, stdout } = await run(["operators", ...args, "--json"], env);
  return { code, out: JSON.parse(stdout) as Record<string, unknown> };
}

describe("drawdown operators", () => {
  it("7.1 makes, changes, disables and lists operators as acts on record, and keeps the last admin", async () => {
    const made = await operators("create", "Jo@Test.Example", "--role", "admin", "--name", "Jo", ...why);
    expect(made.out).toMatchObject({ email: "jo@test.example", name: "Jo", role: "admin", status: "active" });
    expect(made.out["password"]).toMatch(/^[0-9a-f-]{27}$/);
    const last = await operators("disable", "jo@test.example", ...why);
    expect(last).toMatchObject({ code: 1, out: { error: { message: expect.stringContaining("last active admin") } } });
    await operators("create", "ada@test.example", "--role", "support", ...why);
    expect((await operators("role", "ada@test.example", "admin", ...why)).out).toMatchObject({ role: "admin" });
    expect((await operators("disable", "jo@test.example", ...why)).out).toMatchObject({ status: "disabled" });
    expect((await operators("enable", "jo@test.example", ...why)).out).toMatchObject({ status: "active" });
    const reset = await operators("reset-password", "jo@test.example", ...why);
    expect(reset.out["password"]).not.toBe(made.out["password"]);
    expect((await operators("sign-out", "jo@test.example", ...why)).out["operation_id"]).toBeUndefined();
    expect((await operators("list")).out["operators"]).toMatchObject([
      { email: "ada@test.example", role: "admin" },
      { email: "jo@test.example", role: "admin", sessions: 0 },
    ]);
    const { rows } = await db.$client.query("SELECT action, actor, role FROM data.operator_action ORDER BY started_at");
    expect(rows).toEqual(
      [
        "create_operator",
        "create_operator",
        "set_operator_role",
        "disable_operator",
        "enable_operator",
        "reset_operator_password",
      ].map((action) => ({ action, actor: "tester", role: "admin" })),
    );
  });

  it("7.1 says what is wrong: no reason, nobody of that name, no such role, one who is there", async () => {
    for (const [said, ...args] of [
      ["A reason is needed", "role", "jo@test.example", "viewer"],
      ["no such operator", "role", "nobody@test.example", "viewer", ...why],
      ["Allowed choices are viewer, support, admin", "role", "jo@test.example", "king", ...why],
      ["of this e-mail already", "create", "jo@test.example", ...why],
      ["no e-mail address", "create", "no e-mail", ...why],
    ] as const) {
      const error = { message: expect.stringContaining(said) };
      expect(await operators(...args)).toMatchObject({ code: 1, out: { error } });
    }
  });
});
