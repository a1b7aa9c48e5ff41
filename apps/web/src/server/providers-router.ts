// Where calls are sent. A provider's key is never here: only the name of the environment variable that has it.
import { z } from "zod";
import { actInput, actOf } from "@/server/act-input.ts";
import { domain } from "@/server/domain.ts";
import { adminProcedure, router, viewerProcedure } from "@/server/trpc.ts";

const name = z.string().max(512);

export const providersRouter = router({
  list: viewerProcedure.query(({ ctx }) => domain.listProviders(ctx)),
  set: adminProcedure
    .input(
      z.object({
        provider: z.object({
          name,
          baseUrl: z.string().trim().max(2_000),
          shape: z.enum(["openai", "anthropic"]),
          apiKeyEnv: z.string().max(512).nullable(),
        }),
        ...actInput,
      }),
    )
    .mutation(({ ctx, input }) => domain.setProvider(ctx, input.provider, actOf(ctx.operator, input))),
  remove: adminProcedure
    .input(z.object({ name, ...actInput }))
    .mutation(({ ctx, input }) => domain.removeProvider(ctx, input.name, actOf(ctx.operator, input))),
});
