// The accounts page: who pays, and how they stand in the books.
import type { AccountFilters } from "@drawdown/db";
import { z } from "zod";
import { books } from "@/server/domain.ts";
import type { Export } from "@/server/exports.ts";
import { filterText, given, pageInput, pinInput } from "@/server/list-input.ts";
import { router, viewerProcedure } from "@/server/trpc.ts";

/** As they stand in the address of the page. */
const filters = z
  .object({
    search: filterText,
    type: z.enum(["user", "tenant"]).optional(),
    status: z.enum(["active", "frozen"]).optional(),
    overdue: z.literal("yes").optional(),
    customer: filterText,
    sort: z.literal("name").optional(),
  })
  .transform(
    ({ overdue, customer, ...asked }): AccountFilters =>
      given({ ...asked, overdueOnly: overdue === undefined ? undefined : true, customerTypeId: customer }),
  );

export const accountsRouter = router({
  list: viewerProcedure
    .input(z.object({ filters, page: pageInput }))
    .query(({ ctx, input }) => books.listAccounts(ctx.db, input.filters, given(input.page))),
  count: viewerProcedure
    .input(z.object({ filters, pin: pinInput }))
    .query(({ ctx, input }) => books.countAccounts(ctx.db, input.filters, input.pin)),
  newer: viewerProcedure
    .input(z.object({ filters, pin: pinInput }))
    .query(({ ctx, input }) => books.countNewerAccounts(ctx.db, input.filters, input.pin)),
  customerTypes: viewerProcedure.query(({ ctx }) => books.listCustomerTypes(ctx.db)),
});

export const accountsExport: Export = {
  columns: [
    "id",
    "ownerId",
    "ownerName",
    "ownerEmail",
    "type",
    "customerType",
    "currency",
    "balance",
    "totalCredits",
    "totalDebits",
    "creditLimit",
    "overdueAmount",
    "status",
    "createdAt",
    "updatedAt",
  ],
  rows: ({ db, filters: asked, page: { order, ...window } }) =>
    books.everyRow((request) => books.listAccounts(db, filters.parse(asked), { ...window, ...request }), order),
};
