// Every procedure of the console, by noun.

import { accountRouter } from "@/server/account-router.ts";
import { accountsRouter } from "@/server/accounts-router.ts";
import { alertsRouter } from "@/server/alerts-router.ts";
import { deadLettersRouter } from "@/server/dead-letters-router.ts";
import { deductionsRouter } from "@/server/deductions-router.ts";
import { keysRouter } from "@/server/keys-router.ts";
import { operationsRouter } from "@/server/operations-router.ts";
import { operatorsRouter } from "@/server/operators-router.ts";
import { overviewRouter } from "@/server/overview-router.ts";
import { pendingRouter } from "@/server/pending-router.ts";
import { pricesRouter } from "@/server/prices-router.ts";
import { providersRouter } from "@/server/providers-router.ts";
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
  keys: keysRouter,
  operations: operationsRouter,
  operators: operatorsRouter,
  overview: overviewRouter,
  deadLetters: deadLettersRouter,
  pending: pendingRouter,
  prices: pricesRouter,
  providers: providersRouter,
  replays: replaysRouter,
  streams: streamsRouter,
  trace: traceRouter,
  views: viewsRouter,
});

export type AppRouter = typeof appRouter;
