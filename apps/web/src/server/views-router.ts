// The views of lists that an operator keeps for himself.
import { TRPCError } from "@trpc/server";
import { z } from "zod";
import { books } from "@/server/domain.ts";
import { router, viewerProcedure } from "@/server/trpc.ts";

const page = z.string().min(1).max(100);
const name = z.string().trim().min(1).max(80);

export const viewsRouter = router({
  list: viewerProcedure
    .input(z.object({ page }))
    .query(({ ctx, input }) => books.listSavedViews(ctx.db, ctx.operator.id, input.page)),
  put: viewerProcedure
    .input(z.object({ page, name, query: z.string().max(4_000) }))
    .mutation(async ({ ctx, input }) => {
      const kept = await books.putSavedView(ctx.db, ctx.operator.id, input);
      if (kept === "full")
        throw new TRPCError({ code: "PRECONDITION_FAILED", message: "Delete a view first: there are 100." });
    }),
  remove: viewerProcedure
    .input(z.object({ page, name }))
    .mutation(({ ctx, input }) => books.deleteSavedView(ctx.db, ctx.operator.id, input.page, input.name)),
});
