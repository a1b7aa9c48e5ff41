import { verifyPassword } from "@better-auth/utils/password";
import { closeDb, connectDb, countSignIn, type Db, findSession, forgetSignIn, keepSecret } from "@drawdown/db";
import { testDatabase } from "@drawdown/local-stack";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  changeOwnPassword,
  createOperator,
  ensureOperator,
  listOperatorSessions,
  listOperators,
  resetOperatorPassword,
  setOperatorEnabled,
  setOperatorRole,
  signOutOperator,
  signOutOthers,
} from "../src/index.ts";

let db: Db;
beforeAll(async () => {
  db = connectDb((await testDatabase()).url);
});
afterAll(() => closeDb(db));
beforeEach(async () => {
  await db.$client.query(
    "TRUNCATE data.operator, data.operator_session, data.operator_credential, data.operator_rate_limit, data.operator_action CASCADE",
  );
});

const act = { actor: "admin@test.example", role: "admin", reason: "a test" };
const rows = async (sql: string, values: unknown[] = []) => (await db.$client.query(sql, values)).rows;

async function make(email: string, role: "viewer" | "support" | "admin") {
  const made = await createOperator({ db }, { email, role }, act);
  if (made.outcome !== "created") throw new Error(made.outcome);
  return made.operator;
}

async function session(operatorId: string, token: string, lasts = "1 hour"): Promise<string> {
  const [row] = await rows(
    "INSERT INTO data.operator_session (operator_id, token, expires_at) VALUES ($1, $2, now() + $3::interval) RETURNING id",
    [operatorId, token, lasts],
  );
  return row.id;
}

async function passwordOf(operatorId: string): Promise<string> {
  const [row] = await rows("SELECT password FROM data.operator_credential WHERE operator_id = $1", [operatorId]);
  return row.password;
}

describe("7.1 operators", () => {
  test("7.1 one is made once per e-mail, in any case of its letters, with a password that is told once and kept as a hash", async () => {
    const made = await createOperator({ db }, { email: " Jo@Test.Example ", role: "support", name: "Jo" }, act);
    expect(made).toMatchObject({
      outcome: "created",
      operator: { email: "jo@test.example", role: "support", name: "Jo", status: "active", signsInBy: ["password"] },
    });
    if (made.outcome !== "created" || made.password === null) throw new Error("no password");
    const kept = await passwordOf(made.operator.id);
    expect(kept).not.toContain(made.password);
    expect(await verifyPassword(kept, made.password)).toBe(true);
    expect(await createOperator({ db }, { email: "JO@test.example", role: "viewer" }, act)).toEqual({
      outcome: "exists",
    });
    expect(await rows("SELECT actor, role, action, reason, targets, after FROM data.operator_action")).toEqual([
      {
        ...act,
        action: "create_operator",
        targets: ["jo@test.example"],
        after: { email: "jo@test.example", name: "Jo", role: "support", status: "active", sessions: 0 },
      },
    ]);
    expect(JSON.stringify(await rows("SELECT * FROM data.operator_action"))).not.toContain(made.password);
  });

  test("7.1 no e-mail, name or password that is none is taken, and no act without a reason", async () => {
    const create = (more: object) => createOperator({ db }, { email: "a@b.example", role: "viewer", ...more }, act);
    for (const bad of [{ email: "nobody" }, { email: "a b@c.example" }, { name: " " }, { password: "short" }])
      await expect(create(bad)).rejects.toMatchObject({ code: "invalid_request" });
    await expect(
      createOperator({ db }, { email: "a@b.example", role: "viewer" }, { ...act, reason: " " }),
    ).rejects.toMatchObject({ code: "invalid_request" });
    expect(await listOperators({ db })).toEqual([]);
  });

  test("7.1 two admins who demote each other at once do not both succeed: one admin stays", async () => {
    for (const one of ["a", "b"]) await make(`${one}@test.example`, "admin");
    for (let round = 0; round < 20; round += 1) {
      for (const one of ["a", "b"]) await setOperatorRole({ db }, `${one}@test.example`, "admin", act);
      const outcomes = await Promise.all(
        ["a", "b"].map((one) => setOperatorRole({ db }, `${one}@test.example`, "viewer", act)),
      );
      expect(outcomes.map(({ outcome }) => outcome).toSorted()).toEqual(["changed", "last_admin"]);
    }
    const [admin] = (await listOperators({ db })).filter(({ role }) => role === "admin");
    expect(await setOperatorEnabled({ db }, admin?.id ?? "", false, act)).toEqual({ outcome: "last_admin" });
  });

  test("7.1 who is disabled has no session any more and gets none back by being enabled", async () => {
    await make("boss@test.example", "admin");
    const { id } = await make("jo@test.example", "viewer");
    await session(id, "token-1");
    expect(await findSession(db, "token-1")).toMatchObject({ id, email: "jo@test.example", role: "viewer" });
    expect(await setOperatorEnabled({ db }, id, false, act)).toMatchObject({
      outcome: "changed",
      operator: { status: "disabled", sessions: 0 },
    });
    expect(await findSession(db, "token-1")).toBeUndefined();
    // One that was opened in the same moment is none either.
    await session(id, "token-2");
    expect(await findSession(db, "token-2")).toBeUndefined();
    expect(await setOperatorEnabled({ db }, id, false, act)).toMatchObject({ outcome: "repeated" });
    expect(await setOperatorEnabled({ db }, id, true, act)).toMatchObject({ outcome: "changed" });
    expect(await findSession(db, "token-1")).toBeUndefined();
  });

  test("7.1 a session that is over is none, and a role counts from the next request on", async () => {
    const { id } = await make("jo@test.example", "viewer");
    await session(id, "over", "-1 second");
    await session(id, "open");
    expect(await findSession(db, "over")).toBeUndefined();
    await setOperatorRole({ db }, id, "support", act);
    expect(await findSession(db, "open")).toMatchObject({ role: "support" });
  });

  test("7.1 a password that was reset replaces the old one, and ends every session", async () => {
    const { id } = await make("jo@test.example", "viewer");
    const before = await passwordOf(id);
    await session(id, "token");
    const reset = await resetOperatorPassword({ db }, "jo@test.example", act);
    if (reset.outcome !== "reset") throw new Error(reset.outcome);
    expect(await passwordOf(id)).not.toBe(before);
    expect(await verifyPassword(await passwordOf(id), reset.password)).toBe(true);
    expect(await findSession(db, "token")).toBeUndefined();
    expect(await resetOperatorPassword({ db }, "who@test.example", act)).toEqual({ outcome: "unknown_operator" });
  });

  test("7.5 an act asked for twice with one id happens once", async () => {
    const { id } = await make("jo@test.example", "viewer");
    const once = { ...act, id: crypto.randomUUID() };
    const outcomes = await Promise.all([1, 2].map(() => resetOperatorPassword({ db }, id, once)));
    expect(outcomes.map(({ outcome }) => outcome).toSorted()).toEqual(["repeated", "reset"]);
    const reset = outcomes.find((one) => one.outcome === "reset");
    expect(await verifyPassword(await passwordOf(id), reset?.outcome === "reset" ? reset.password : "")).toBe(true);
  });

  test("7.1 one's own password is changed with the present one only, and ends one's other sessions", async () => {
    const made = await createOperator(
      { db },
      { email: "jo@test.example", role: "viewer", password: "a first password" },
      act,
    );
    if (made.outcome !== "created") throw new Error(made.outcome);
    const own = { operatorId: made.operator.id, sessionId: await session(made.operator.id, "mine") };
    await session(made.operator.id, "other");
    const change = (present: string, next: string) => changeOwnPassword({ db }, { ...own, present, next }, act);
    expect(await change("a wrong password", "a second password")).toEqual({ outcome: "wrong_password" });
    await expect(change("a first password", "short")).rejects.toMatchObject({ code: "invalid_request" });
    expect(await change("a first password", "a second password")).toMatchObject({ outcome: "changed" });
    expect(await verifyPassword(await passwordOf(made.operator.id), "a second password")).toBe(true);
    expect(await findSession(db, "mine")).toBeDefined();
    expect(await findSession(db, "other")).toBeUndefined();
  });

  test("7.1 signing out everywhere ends all sessions, signing out others keeps one's own", async () => {
    const { id } = await make("jo@test.example", "viewer");
    const sessionId = await session(id, "mine");
    await session(id, "other");
    expect((await listOperatorSessions({ db }, id)).length).toBe(2);
    expect(await signOutOthers({ db }, { operatorId: id, sessionId }, act)).toMatchObject({ outcome: "changed" });
    expect((await listOperatorSessions({ db }, id)).map((one) => one.id)).toEqual([sessionId]);
    expect(await signOutOperator({ db }, id, act)).toMatchObject({ outcome: "changed", operator: { sessions: 0 } });
    expect(await signOutOperator({ db }, id, act)).toMatchObject({ outcome: "repeated" });
  });

  test("7.1 the first admin of the settings is made once and left alone afterwards; seed renews", async () => {
    const first = { email: "First@test.example", role: "admin", password: "from the settings" } as const;
    const ensure = (renew: boolean, password: string = first.password) =>
      ensureOperator(db, { ...first, password }, { renew, actor: "test" });
    const outcomes = await Promise.all([1, 2, 3].map(() => ensure(false)));
    expect(outcomes.toSorted()).toEqual(["created", "kept", "kept"]);
    const [operator] = await listOperators({ db });
    await ensure(false, "another password");
    expect(await verifyPassword(await passwordOf(operator?.id ?? ""), first.password)).toBe(true);
    expect(await ensure(true, "another password")).toBe("renewed");
    expect(await verifyPassword(await passwordOf(operator?.id ?? ""), "another password")).toBe(true);
  });
});

describe("7.1 sign-in attempts", () => {
  const rule = { attempts: 3, windowSeconds: 60 };

  test("7.1 of many at once only so many pass; then it says how long to wait; the window ends", async () => {
    const counted = await Promise.all(Array.from({ length: 10 }, () => countSignIn(db, "email:a", rule)));
    expect(counted.filter(({ waitSeconds }) => waitSeconds === null).length).toBe(3);
    for (const { waitSeconds } of counted) if (waitSeconds !== null) expect(waitSeconds).toBeGreaterThan(50);
    expect(await countSignIn(db, "email:b", rule)).toEqual({ waitSeconds: null });
    await db.$client.query("UPDATE data.operator_rate_limit SET started_at = started_at - interval '61 seconds'");
    expect(await countSignIn(db, "email:a", rule)).toEqual({ waitSeconds: null });
  });

  test("7.1 what went well is not counted", async () => {
    for (let n = 0; n < 5; n += 1) {
      expect(await countSignIn(db, "email:a", rule)).toEqual({ waitSeconds: null });
      await forgetSignIn(db, "email:a");
    }
  });

  test("7.1 consoles that start at once keep one secret", async () => {
    const kept = await Promise.all(["a", "b", "c"].map((made) => keepSecret(db, "test_secret", made)));
    expect(new Set(kept).size).toBe(1);
    expect(await keepSecret(db, "test_secret", "later")).toBe(kept[0]);
  });
});
