// Every procedure of the console, by noun.
import { overviewRouter } from "@/server/overview-router.ts";
import { router } from "@/server/trpc.ts";

export const appRouter = router({
  overview: overviewRouter,
});

export type AppRouter = typeof appRouter;
