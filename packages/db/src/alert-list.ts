// The alerts page: what is wrong and what was, by when it was noticed.
import type { AlertLevel } from "./alerts.ts";
import type { Db } from "./connect.ts";
import { given, listOf } from "./pages.ts";

export type AlertFilters = { state?: "open" | "closed"; level?: AlertLevel; kind?: string; key?: string };

/** `id` is decimal text. */
export type AlertListRow = {
  id: string;
  level: AlertLevel;
  kind: string;
  key: string;
  message: string;
  details: Record<string, unknown>;
  openedAt: Date;
  resolvedAt: Date | null;
};

const columns = `x.id, x.level, x.kind, x.key, x.message, x.details, x.opened_at AS "openedAt", x.resolved_at AS "resolvedAt"`;

const alerts = listOf<AlertFilters, AlertListRow>(
  { column: "x.opened_at", type: "timestamptz" },
  ({ state, level, kind, key }) => ({
    from: () => "data.alert x",
    where: state === "open" ? [() => "x.resolved_at IS NULL"] : [],
    residual: [
      ...(state === "closed" ? [() => "x.resolved_at IS NOT NULL"] : []),
      ...given(level, (value) => (bind) => `x.level = ${bind(value)}`),
      ...given(kind, (value) => (bind) => `x.kind = ${bind(value)}`),
      ...given(key, (value) => (bind) => `x.key = ${bind(value)}`),
    ],
    keys: [
      { column: "x.opened_at", type: "timestamptz" },
      { column: "x.id", type: "bigint" },
    ],
    columns,
  }),
);

/** Alerts by when they were opened. Throws `InvalidPage`, and what the driver throws. */
export const listAlerts = alerts.page;
export const countAlerts = alerts.count;
export const countNewerAlerts = alerts.newer;

/** One alert; undefined when there is none of this id. */
export async function readAlert(db: Db, id: string): Promise<AlertListRow | undefined> {
  if (!/^\d{1,18}$/.test(id)) return undefined;
  const { rows } = await db.$client.query<AlertListRow>(`SELECT ${columns} FROM data.alert x WHERE x.id = $1`, [id]);
  return rows[0];
}
