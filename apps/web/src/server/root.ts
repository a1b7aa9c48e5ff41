// Every procedure of the console, by noun.
import { deductionsRouter } from "@/server/deductions-router.ts";
import { operatorsRouter } from "@/server/operators-router.ts";
import { overviewRouter } from "@/server/overview-router.ts";
import { router } from "@/server/trpc.ts";
import { viewsRouter } from "@/server/views-router.ts";

export const appRouter = router({
  deductions: deductionsRouter,
  operators: operatorsRouter,
  overview: overviewRouter,
  views: viewsRouter,
});

export type AppRouter = typeof appRouter;
