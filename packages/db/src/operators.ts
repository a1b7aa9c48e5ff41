// Sessions of operators, and how often a sign-in failed. Acts on operators are in packages/billing (operators.ts), with what they record.

import type { Db } from "./connect.ts";

export type OperatorRole = "viewer" | "support" | "admin";

export type SignedIn = { id: string; email: string; name: string; role: OperatorRole; sessionId: string };

/** Whose session this token names; undefined when it is unknown or over, or the operator is disabled. */
export async function findSession(db: Db, token: string): Promise<SignedIn | undefined> {
  const { rows } = await db.$client.query<SignedIn>({
    name: "find_operator_session",
    text: `SELECT o.id, o.email, o.name, o.role, s.id AS "sessionId"
             FROM data.operator_session s JOIN data.operator o ON o.id = s.operator_id
            WHERE s.token = $1 AND s.expires_at > now() AND o.disabled_at IS NULL`,
    values: [token],
  });
  return rows[0];
}

/** The ids of the sessions that are good now. */
export async function listOpenSessions(db: Db): Promise<Set<string>> {
  const { rows } = await db.$client.query<{ id: string }>(
    `SELECT s.id FROM data.operator_session s JOIN data.operator o ON o.id = s.operator_id
      WHERE s.expires_at > now() AND o.disabled_at IS NULL`,
  );
  return new Set(rows.map(({ id }) => id));
}

/** The console's secret: made by who asks first, the same for all after. */
export async function keepSecret(db: Db, key: string, made: string): Promise<string> {
  const { rows } = await db.$client.query<{ value: string }>(
    "INSERT INTO data.setting (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET key = EXCLUDED.key RETURNING value",
    [key, made],
  );
  return rows[0]?.value ?? made;
}

export type SignInRule = { attempts: number; windowSeconds: number };

/**
 * Counts one attempt under `key`, in one statement, so that attempts at once cannot pass together. Says how many seconds to wait when
 * there were too many in the window; the window begins with its first attempt.
 */
export async function countSignIn(db: Db, key: string, rule: SignInRule): Promise<{ waitSeconds: number | null }> {
  const { rows } = await db.$client.query<{ attempts: number; left: number }>(
    `WITH over AS (DELETE FROM data.operator_rate_limit WHERE started_at < now() - interval '1 day' AND key <> $1)
     INSERT INTO data.operator_rate_limit AS kept (key, attempts) VALUES ($1, 1)
     ON CONFLICT (key) DO UPDATE SET
       attempts = CASE WHEN kept.started_at <= now() - make_interval(secs => $2) THEN 1 ELSE least(kept.attempts + 1, 1000000) END,
       started_at = CASE WHEN kept.started_at <= now() - make_interval(secs => $2) THEN now() ELSE kept.started_at END
     RETURNING attempts, ceil(extract(epoch FROM started_at + make_interval(secs => $2) - now()))::int AS left`,
    [key, rule.windowSeconds],
  );
  const [row] = rows;
  if (row === undefined || row.attempts <= rule.attempts) return { waitSeconds: null };
  return { waitSeconds: Math.max(row.left, 1) };
}

/** A sign-in that went well is no attempt at guessing. */
export async function forgetSignIn(db: Db, key: string): Promise<void> {
  await db.$client.query("UPDATE data.operator_rate_limit SET attempts = greatest(attempts - 1, 0) WHERE key = $1", [
    key,
  ]);
}
