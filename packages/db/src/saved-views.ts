// Views that an operator keeps of a list under a name. Each sees only his own.
import type { Db } from "./connect.ts";

/** `query` is the query string of the page's address. */
export type SavedView = { page: string; name: string; query: string; createdAt: Date };

/** An operator has at most so many of one page. */
const VIEWS_MAX = 100;

/** By name. */
export async function listSavedViews(db: Db, operatorId: string, page: string): Promise<SavedView[]> {
  const { rows } = await db.$client.query<SavedView>(
    `SELECT page, name, query, created_at AS "createdAt" FROM data.saved_view WHERE operator_id = $1 AND page = $2 ORDER BY name LIMIT $3`,
    [operatorId, page, VIEWS_MAX],
  );
  return rows;
}

/** Keeps a view; one of the same name is replaced. `full`: there are 100 of this page. Throws for a name that is empty or over 200 characters. */
export async function putSavedView(
  db: Db,
  operatorId: string,
  view: Omit<SavedView, "createdAt">,
): Promise<"saved" | "full"> {
  const { rowCount } = await db.$client.query(
    `INSERT INTO data.saved_view (operator_id, page, name, query)
     SELECT $1, $2, $3, $4 WHERE (SELECT count(*) FROM data.saved_view WHERE operator_id = $1 AND page = $2 AND name <> $3) < $5
     ON CONFLICT (operator_id, page, name) DO UPDATE SET query = EXCLUDED.query`,
    [operatorId, view.page, view.name, view.query, VIEWS_MAX],
  );
  return rowCount === 1 ? "saved" : "full";
}

/** False when there was none. */
export async function deleteSavedView(db: Db, operatorId: string, page: string, name: string): Promise<boolean> {
  const { rowCount } = await db.$client.query(
    "DELETE FROM data.saved_view WHERE operator_id = $1 AND page = $2 AND name = $3",
    [operatorId, page, name],
  );
  return rowCount === 1;
}
