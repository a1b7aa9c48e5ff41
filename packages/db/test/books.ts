// A migrated database of the test file's own, and what every test of the books needs.
import { randomUUID } from "node:crypto";
import { testDatabase } from "@drawdown/local-stack";
import { closeDb, connectDb, type Db } from "../src/index.ts";

export type Books = {
  url: string;
  db: Db;
  /** The role that the tests are connected as: the actor of plain SQL. */
  user: string;
  rows: <R extends object = Record<string, string | null>>(sql: string, values?: unknown[]) => Promise<R[]>;
  /** Runs SQL that must fail, and returns its SQLSTATE, message and constraint. */
  refusal: (sql: string, values?: unknown[]) => Promise<Refusal>;
  close: () => Promise<void>;
};

export type Refusal = { code: string; message: string; constraint: string | undefined };

export async function openBooks(): Promise<Books> {
  const database = await testDatabase();
  const db = connectDb(database.url, { max: 20 });
  const rows: Books["rows"] = async <R extends object>(sql: string, values: unknown[] = []) =>
    (await db.$client.query<R>(sql, values)).rows;
  const [session] = await rows<{ user: string }>('SELECT session_user AS "user"');
  return {
    url: database.url,
    db,
    user: session?.user ?? "",
    rows,
    refusal: async (sql, values = []) => {
      const error = await db.$client.query(sql, values).then(
        () => new Error(`this was accepted: ${sql}`),
        (refused: Error & { code?: string; constraint?: string }) => refused,
      );
      const { code, constraint } = error as { code?: string; constraint?: string };
      return { code: code ?? "", message: error.message, constraint };
    },
    close: async () => {
      await closeDb(db);
      await database.drop();
    },
  };
}

export type NewAccount = { id: string; ownerId: string; virtualKey: string };

/** A user with a key and an account that opens with `balance`. */
export async function newAccount({ rows }: Books, balance = "0"): Promise<NewAccount> {
  const ownerId = randomUUID();
  const virtualKey = `vk_${ownerId.slice(0, 8)}`;
  await rows("INSERT INTO data.user_profile (id) VALUES ($1)", [ownerId]);
  await rows("INSERT INTO data.virtual_key (virtual_key, user_id) VALUES ($1, $2)", [virtualKey, ownerId]);
  const [account] = await rows<{ id: string }>(
    "INSERT INTO data.account_balance (owner_userid, balance) VALUES ($1, $2) RETURNING id",
    [ownerId, balance],
  );
  if (account === undefined) throw new Error("no account was made");
  return { id: account.id, ownerId, virtualKey };
}

export type CreditRow = {
  amount: string;
  source: string;
  audit_category: string;
  credits_version: string;
  reason: string | null;
  actor: string | null;
  reference: string | null;
  sync_status: string;
  account_type: string;
  applied: boolean;
};

/** The credits of an account, oldest first. */
export function credits({ rows }: Books, accountId: string): Promise<CreditRow[]> {
  return rows<CreditRow>(
    `SELECT amount, source, audit_category, credits_version, reason, actor, reference, sync_status, account_type,
            applied_at IS NOT NULL AS applied
     FROM data.account_balance_audit WHERE account_id = $1 AND credits_version IS NOT NULL ORDER BY id`,
    [accountId],
  );
}
