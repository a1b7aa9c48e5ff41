// Every procedure × every role × signed out, on real stores.
import { closeBilling, ensureOperator } from "@drawdown/billing";
import { closeDb } from "@drawdown/db";
import { testDatabase, testRedis } from "@drawdown/local-stack";
import { TRPCError } from "@trpc/server";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mayAs, type Role } from "@/server/roles.ts";
import { least } from "./procedures.ts";

const roles: Role[] = ["viewer", "support", "admin"];
const cookies = new Map<string, string>();

// Read by the server's own config at the first query.
const [database, redis] = await Promise.all([testDatabase(), testRedis()]);
Object.assign(process.env, { DATABASE_URL: database.url, REDIS_URL: redis.url });
const { appRouter } = await import("@/server/root.ts");
const { createCallerFactory, createContext } = await import("@/server/trpc.ts");
const { billing, db } = await import("@/server/stores.ts");
// oxlint-disable-next-line no-underscore-dangle
const paths = Object.keys(appRouter._def.procedures);

beforeAll(async () => {
  for (const role of roles) await signedIn(`${role}@test.example`, role);
  await signedIn("disabled@test.example", "admin");
  await signedIn("over@test.example", "admin");
  await db().$client.query("UPDATE data.operator SET disabled_at = now() WHERE email LIKE 'disabled%'");
  await db().$client.query("UPDATE data.operator_session SET expires_at = now() WHERE token = 'token-of-over'");
});
afterAll(async () => {
  await closeBilling(await billing());
  await closeDb(db());
});

async function signedIn(email: string, role: Role): Promise<void> {
  await ensureOperator(db(), { email, role, password: "a test password" }, { renew: false, actor: "test" });
  const name = email.slice(0, email.indexOf("@"));
  const token = `token-of-${name}`;
  await db().$client.query(
    `INSERT INTO data.operator_session (operator_id, token, expires_at)
     SELECT id, $2, now() + interval '1 hour' FROM data.operator WHERE email = $1`,
    [email, token],
  );
  cookies.set(name, `drawdown.session_token=${token}.signature`);
}

/** What calling it without an input comes to: `done`, or an error's code. */
async function call(path: string, who: string): Promise<string> {
  const cookie = cookies.get(who);
  const headers = new Headers(cookie === undefined ? {} : { cookie });
  const caller = createCallerFactory(appRouter)(() => createContext({ headers }));
  const procedure = path
    .split(".")
    .reduce((at: unknown, step) => (at as Record<string, unknown>)[step], caller) as () => Promise<unknown>;
  try {
    const answer = await procedure();
    if (typeof answer === "object" && answer !== null && Symbol.asyncIterator in answer) await close(answer);
    return "done";
  } catch (error) {
    if (error instanceof TRPCError) return error.code;
    throw error;
  }
}

async function close(live: object): Promise<void> {
  if ("return" in live && typeof live.return === "function") await live.return();
}

test("7.1 who is signed out sees no more of what moves by itself, within seconds; others go on", async () => {
  await signedIn("leaving@test.example", "viewer");
  const watch = async (who: string) => {
    const headers = new Headers({ cookie: cookies.get(who) ?? "" });
    const live = await createCallerFactory(appRouter)(() => createContext({ headers })).streams.live();
    return live[Symbol.asyncIterator]();
  };
  const [leaving, staying] = [await watch("leaving"), await watch("viewer")];
  for (const line of [leaving, staying]) expect((await line.next()).done).toBe(false);
  await db().$client.query("DELETE FROM data.operator_session WHERE token = 'token-of-leaving'");
  const since = performance.now();
  const rest = async () => {
    while (!(await leaving.next()).done);
  };
  await expect(rest()).rejects.toMatchObject({ code: "UNAUTHORIZED" });
  expect(performance.now() - since).toBeLessThan(15_000);
  expect((await staying.next()).done).toBe(false);
  await staying.return?.();
}, 30_000);

describe("7.1 every procedure, every role", () => {
  test("7.1 the walk knows every procedure, and each that it knows is there", () => {
    expect(paths.toSorted()).toEqual(Object.keys(least).toSorted());
  });

  describe.each(paths)("%s", (path) => {
    test.each(["nobody", "disabled", "over"])("7.1 %s may not call it", async (who) => {
      expect(await call(path, who)).toBe("UNAUTHORIZED");
    });

    test.each(roles)("7.1 %s may call it exactly when the role is enough", async (role) => {
      const needed = least[path];
      if (needed === undefined) throw new Error(`test/procedures.ts does not say who may call ${path}.`);
      const outcome = await call(path, role);
      if (mayAs(role, needed)) expect(["FORBIDDEN", "UNAUTHORIZED"]).not.toContain(outcome);
      else expect(outcome).toBe("FORBIDDEN");
    });
  });
});
