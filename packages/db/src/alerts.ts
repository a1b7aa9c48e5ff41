// Alerts: one open row for each thing that is wrong, however many processes notice it.
import type { Db } from "./connect.ts";

export type NewAlert = {
  level: "warning" | "critical";
  kind: string;
  /** What it is about: a shard, an account. */
  key: string;
  message: string;
  details: Record<string, unknown>;
};

/** Opens an alert, or brings the open one of this kind and key up to date. */
export async function openAlert(db: Db, alert: NewAlert): Promise<void> {
  await db.$client.query(
    `INSERT INTO data.alert (level, kind, key, message, details) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (kind, key) WHERE resolved_at IS NULL DO UPDATE SET level = EXCLUDED.level, message = EXCLUDED.message,
        details = data.alert.details || EXCLUDED.details`,
    [alert.level, alert.kind, alert.key, alert.message, JSON.stringify(alert.details)],
  );
}

/** Closes the open alert of this kind and key, if there is one. */
export async function resolveAlert(db: Db, kind: string, key: string): Promise<void> {
  await db.$client.query(
    "UPDATE data.alert SET resolved_at = now() WHERE kind = $1 AND key = $2 AND resolved_at IS NULL",
    [kind, key],
  );
}
