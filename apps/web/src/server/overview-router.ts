// Is it healthy? The figures of the first page, now and live.
import { domain } from "@/server/domain.ts";
import { every, sharedReading } from "@/server/live.ts";
import { billing } from "@/server/stores.ts";
import { router, viewerProcedure } from "@/server/trpc.ts";

const LIVE_MS = 1_000;

const readFigures = sharedReading(
  async () => ({ at: new Date(), stats: await domain.readStats(await billing()) }),
  LIVE_MS,
);

export const overviewRouter = router({
  figures: viewerProcedure.query(() => readFigures()),
  live: viewerProcedure.subscription(async function* ({ signal }) {
    yield* every(readFigures, LIVE_MS, signal);
  }),
});
