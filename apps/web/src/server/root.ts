// Every procedure of the console, by noun.

import { accountRouter } from "@/server/account-router.ts";
import { accountsRouter } from "@/server/accounts-router.ts";
import { alertsRouter } from "@/server/alerts-router.ts";
import { deadLettersRouter } from "@/server/dead-letters-router.ts";
import { deductionsRouter } from "@/server/deductions-router.ts";
import { operationsRouter } from "@/server/operations-router.ts";
import { operatorsRouter } from "@/server/operators-router.ts";
import { overviewRouter } from "@/server/overview-router.ts";
import { pendingRouter } from "@/server/pending-router.ts";
import { replaysRouter } from "@/server/replays-router.ts";
import { streamsRouter } from "@/server/streams-router.ts";
import { traceRouter } from "@/server/trace-router.ts";
import { router } from "@/server/trpc.ts";
import { viewsRouter } from "@/server/views-router.ts";

export const appRouter = router({
  alerts: alertsRouter,
  account: accountRouter,
  accounts: accountsRouter,
  deductions: deductionsRouter,
  operations: operationsRouter,
  operators: operatorsRouter,
  overview: overviewRouter,
  streams: streamsRouter,
  deadLetters: deadLettersRouter,
  pending: pendingRouter,
  replays: replaysRouter,
  trace: traceRouter,
  views: viewsRouter,
});

export type AppRouter = typeof appRouter;
