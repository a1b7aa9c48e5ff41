import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closeDb, connectDb, type Db } from "@drawdown/db";
import {
  freePort,
  startPostgres,
  type TestDatabase,
  type TestRedis,
  testDatabase,
  testRedis,
  waitFor,
} from "@drawdown/local-stack";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Seeded } from "../src/cli/seed.ts";
import { run, start } from "./stage.ts";

let database: TestDatabase;
let redis: TestRedis;
let db: Db;
let env: Record<string, string>;
let seeded: Seeded;

beforeAll(async () => {
  [database, redis] = await Promise.all([testDatabase(), testRedis()]);
  db = connectDb(database.url);
  env = { DATABASE_URL: database.url, REDIS_URL: redis.url };
  seeded = await json<Seeded>(["seed", "--json", "--upstream", "http://127.0.0.1:4010/"]);
});
afterAll(async () => {
  await closeDb(db);
  await redis?.stop();
  await database?.drop();
});

/** Runs a command whose standard output must be one JSON document and nothing else. */
async function json<T>(args: string[]): Promise<T> {
  const { code, stdout, stderr } = await run(args, env);
  if (code !== 0) throw new Error(`${args.join(" ")} exited ${code}: ${stderr}`);
  return JSON.parse(stdout) as T;
}

async function counts(): Promise<unknown> {
  const { rows } = await db.$client.query(
    `SELECT (SELECT count(*) FROM data.customer_type) AS types, (SELECT count(*) FROM data.user_profile) AS users,
            (SELECT count(*) FROM data.account_balance) AS accounts, (SELECT count(*) FROM data.account_balance_audit) AS credits,
            (SELECT count(*) FROM data.virtual_key) AS keys, (SELECT count(*) FROM data.provider) AS providers,
            (SELECT count(*) FROM data.model_price) AS prices, (SELECT sum(balance) FROM data.account_balance) AS balances`,
  );
  return rows[0];
}

type BalanceAnswer = {
  redis: { balance: string; held: string; available: string; seq: string } | null;
  postgres: { balance: string; total_credits: string; total_debits: string };
  in_flight: string | null;
};

describe("drawdown seed", () => {
  it("makes two users with accounts and a tenant with two users, users first, with at least 100 units each", async () => {
    expect(seeded.keys.map(({ account_type }) => account_type)).toEqual(["user", "user", "tenant", "tenant"]);
    expect(new Set(seeded.keys.map(({ account_balance_id }) => account_balance_id)).size).toBe(3);
    expect(seeded.operators.map(({ email, role }) => [email, role])).toEqual(
      ["admin", "support", "viewer"].map((role) => [`${role}@demo.invalid`, role]),
    );
    for (const key of seeded.keys) {
      expect(key.api_key).toMatch(new RegExp(`^${key.virtual_key}\\.[A-Za-z0-9_-]{43}$`));
      const { rows } = await db.$client.query(
        `SELECT balance >= 100 AS enough, account_id AS owner_id, account_type, account_balance_id, customer_type_id IS NOT NULL AS typed
         FROM data.billing_accounts WHERE virtual_key = $1`,
        [key.virtual_key],
      );
      const { account_balance_id, owner_id, account_type } = key;
      expect(rows).toEqual([{ enough: true, typed: true, account_balance_id, owner_id, account_type }]);
    }
  });

  it("puts the simulated provider's address behind every provider", async () => {
    const { rows } = await db.$client.query("SELECT DISTINCT base_url FROM data.provider");
    expect(rows).toEqual([{ base_url: "http://127.0.0.1:4010" }]);
  });

  it("run again adds nothing and prints the same keys with new secrets", async () => {
    const before = await counts();
    const again = await json<Seeded>(["seed", "--json"]);
    expect(await counts()).toEqual(before);
    const withoutSecret = ({ keys }: Seeded) => keys.map((key) => ({ ...key, api_key: key.virtual_key }));
    expect(withoutSecret(again)).toEqual(withoutSecret(seeded));
    for (const [index, key] of again.keys.entries()) expect(key.api_key).not.toBe(seeded.keys[index]?.api_key);
  });

  it("run twice at once makes one world", async () => {
    const before = await counts();
    await Promise.all([json(["seed", "--json"]), json(["seed", "--json"])]);
    expect(await counts()).toEqual(before);
  });

  it("takes an address without a path only", async () => {
    const { code, stderr } = await run(["seed", "--upstream", "http://127.0.0.1:4010/v1"], env);
    expect([code, stderr]).toEqual([1, expect.stringContaining("without a path")]);
  });
});

describe("drawdown balance", () => {
  it("shows Redis as null while the account is not loaded, for the account's id and its owner's", async () => {
    const { account_balance_id, owner_id } = seeded.keys[1] ?? { account_balance_id: "", owner_id: "" };
    const answer = await json<BalanceAnswer>(["balance", account_balance_id, "--json"]);
    expect(answer).toMatchObject({
      redis: null,
      postgres: { balance: "1000.000000000", total_credits: "1000.000000000", total_debits: "0.000000000" },
      in_flight: null,
    });
    expect(await json(["balance", owner_id, "--json"])).toEqual(answer);
  });

  it("fails for an unknown id with a message, and JSON when that was asked for", async () => {
    const unknown = await run(["balance", "00000000-0000-4000-8000-000000009999", "--json"], env);
    expect(unknown.code).toBe(1);
    expect(JSON.parse(unknown.stdout)).toMatchObject({ error: { message: expect.stringContaining("9999") } });
    expect((await run(["balance", "no-uuid"], env)).stderr).toContain("no-uuid");
  });
});

describe("drawdown credit", () => {
  it("is on record with its reason and actor, and a reference makes it idempotent", async () => {
    const id = seeded.keys[0]?.account_balance_id ?? "";
    const args = ["credit", id, "12.5", "--reason", "a test", "--actor", "tester", "--reference", "credit-1", "--json"];
    const first = await json<Record<string, string>>(args);
    expect(first).toMatchObject({ amount: "12.500000000", category: "top_up", total_credits: "1012.500000000" });
    expect(await json(args)).toEqual(first);
    const { rows } = await db.$client.query(
      "SELECT reason, actor FROM data.account_balance_audit WHERE reference = 'credit-1'",
    );
    expect(rows).toEqual([{ reason: "a test", actor: "tester" }]);
    const acts = await db.$client.query(
      "SELECT id, actor, role, reason, targets, before, after, finished_at IS NOT NULL AS over FROM data.operator_action WHERE action = 'credit'",
    );
    expect(acts.rows).toEqual([
      {
        id: first["operation_id"],
        actor: "tester",
        role: "admin",
        reason: "a test",
        targets: [id],
        before: { balance: "1000.000000000", total_credits: "1000.000000000" },
        after: { balance: "1012.500000000", total_credits: "1012.500000000" },
        over: true,
      },
    ]);
  });

  it("is refused with the reason: another amount for a reference, no amount, a negative top-up, an unknown account", async () => {
    const id = seeded.keys[0]?.account_balance_id ?? "";
    const refused = async (...args: string[]) => {
      const { code, stderr } = await run(["credit", ...args, "--reason", "a test"], env);
      return `${code} ${stderr}`;
    };
    expect(await refused(id, "13", "--reference", "credit-1")).toMatch(/^1 .*reference/);
    expect(await refused(id, "lots")).toMatch(/^1 .*not a decimal number/);
    expect(await refused("--", id, "-1")).toMatch(/^1 /);
    expect(await refused("00000000-0000-4000-8000-000000009999", "1")).toMatch(/^1 No account/);
  });
});

describe("drawdown migrate", () => {
  it("brings an empty database up, from three processes at once, and again", async () => {
    const dir = await mkdtemp(join(tmpdir(), "drawdown-test-migrate-"));
    const postgres = await startPostgres({ dir });
    try {
      const mine = { DATABASE_URL: postgres.url };
      const exits = await Promise.all(Array.from({ length: 3 }, () => run(["migrate"], mine)));
      expect(exits.map(({ code, stderr }) => [code, code === 0 ? "" : stderr])).toEqual(exits.map(() => [0, ""]));
      const again = await run(["migrate", "--json"], mine);
      expect([again.code, JSON.parse(again.stdout)]).toMatchObject([0, { migrated: true }]);
    } finally {
      await postgres.stop();
      await rm(dir, { recursive: true, force: true });
    }
  });
});

describe("the command line", () => {
  it("starts each command in a second or two at most", async () => {
    const id = seeded.keys[0]?.account_balance_id ?? "";
    for (const args of [["--help"], ["balance", id, "--json"], ["stats", "--json"], ["trace", "nothing-known"]]) {
      // The best of three: what the command itself takes, not what a busy machine adds.
      const runs = [await run(args, env), await run(args, env), await run(args, env)];
      expect({ args, fast: Math.min(...runs.map(({ afterMs }) => afterMs)) < 2_000 }).toEqual({ args, fast: true });
    }
  });

  it("prints statistics as one JSON document", async () => {
    expect(await json(["stats", "--json"])).toMatchObject({
      totals: { length: expect.any(Number), pending: 0 },
      shards: expect.any(Array),
      schedules: [],
    });
  });

  it("exits 1 for what it does not understand, with the way to the help", async () => {
    for (const args of [["nonsense"], ["balance"], ["upstream"], ["upstream", "--port", "0"], ["credit", "x", "1"]]) {
      const { code, stderr, stdout } = await run(args, env);
      expect([args, code, stdout]).toEqual([args, 1, ""]);
      expect(stderr).not.toBe("");
    }
  });

  it("run by an older Node starts the pinned one, passes signals on, and ends as it ends", async () => {
    // The launcher decides by process.versions: this makes it see an older Node, in the launching process alone.
    const older = `data:text/javascript,${encodeURIComponent(
      `if (!process.env.DRAWDOWN_SHADOW) Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.0.0" } });`,
    )}`;
    const launch = (args: string[]) => start(args, env, ["--import", older]);
    expect(await launch(["balance", "no-uuid"]).exited).toMatchObject({ code: 1 });
    const help = launch(["--help"]);
    expect([(await help.exited).code, help.stdout()]).toEqual([0, expect.stringContaining("drawdown")]);

    const provider = launch(["upstream", "--port", String(await freePort())]);
    await waitFor(() => provider.stderr().includes('"ready"'), { timeoutMs: 40_000, what: "the provider to be ready" });
    const childPid = Number(/"pid":(\d+)/.exec(provider.stderr())?.[1]);
    expect(childPid).not.toBe(provider.child.pid);
    provider.child.kill("SIGTERM");
    expect(await provider.exited).toMatchObject({ code: 0 });

    const killed = launch(["upstream", "--port", String(await freePort())]);
    await waitFor(() => killed.stderr().includes('"ready"'), { timeoutMs: 40_000, what: "the provider to be ready" });
    const orphan = Number(/"pid":(\d+)/.exec(killed.stderr())?.[1]);
    killed.child.kill("SIGKILL");
    await waitFor(() => !alive(orphan), { timeoutMs: 5_000, what: "the child of a killed launcher to end" });
  });
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
