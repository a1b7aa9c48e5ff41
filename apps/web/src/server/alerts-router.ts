// What is wrong, and what was.
import type { AlertFilters, AlertListRow } from "@drawdown/db";
import { z } from "zod";
import { books } from "@/server/domain.ts";
import type { Export } from "@/server/exports.ts";
import { filterText, given, pageInput, pinInput } from "@/server/list-input.ts";
import { every, sharedReading } from "@/server/live.ts";
import { type Part, partOf } from "@/server/parts.ts";
import { db } from "@/server/stores.ts";
import { router, viewerProcedure } from "@/server/trpc.ts";

const LIVE_MS = 1_000;
/** As many of each kind of pass as there can be, and more. */
const OPEN_MAX = 1_000;

/** As they stand in the address of the page. */
const filters = z
  .object({ level: z.enum(["warning", "critical"]).optional(), kind: filterText, key: filterText })
  .transform((asked): AlertFilters => given({ ...asked, state: "closed" as const }));

const readOpen = sharedReading(
  async () => (await books.listAlerts(db(), { state: "open" }, { limit: OPEN_MAX })).rows,
  LIVE_MS,
);

export type OpenAlerts = Part<AlertListRow[]>;

export const alertsRouter = router({
  /** Everything that is open, newest first. */
  live: viewerProcedure.subscription(async function* ({ ctx, signal }) {
    yield* every<OpenAlerts>(() => partOf(readOpen), LIVE_MS, { ctx, signal });
  }),
  /** What is closed. */
  list: viewerProcedure
    .input(z.object({ filters, page: pageInput }))
    .query(({ ctx, input }) => books.listAlerts(ctx.db, input.filters, given(input.page))),
  count: viewerProcedure
    .input(z.object({ filters, pin: pinInput }))
    .query(({ ctx, input }) => books.countAlerts(ctx.db, input.filters, input.pin)),
});

export const alertsExport: Export = {
  columns: ["id", "level", "kind", "key", "message", "details", "openedAt", "resolvedAt"],
  rows: ({ db: from, filters: asked, page: { order, ...window } }) =>
    books.everyRow((request) => books.listAlerts(from, filters.parse(asked), { ...window, ...request }), order),
};
