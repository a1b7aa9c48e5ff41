// Is it healthy? The figures of the first page, now and live, on one connection: a browser has six to a server.
import type { AlertListRow, Db, Deduction, OverviewFigures, ScheduleState } from "@drawdown/db";
import { tracked } from "@trpc/server";
import { z } from "zod";
import { books, domain } from "@/server/domain.ts";
import { every, sharedReading } from "@/server/live.ts";
import { PaceKeeper } from "@/server/pace.ts";
import { type Part, partOf } from "@/server/parts.ts";
import { billing, db } from "@/server/stores.ts";
import { LIVE_MS, readHolds, readStreams } from "@/server/stream-readings.ts";
import { router, viewerProcedure } from "@/server/trpc.ts";

const NEWEST_ALERTS = 5;
/** As many deductions as one reading of the tail sees: of more in a second the older ones do not pass by. */
const TAIL_ROWS = 50;

type BookFigures = {
  settledPerSecond: number;
  figures: OverviewFigures;
  /** The newest few that are open. */
  alerts: AlertListRow[];
  schedules: ScheduleState[];
  /** Newest first. */
  newest: Deduction[];
};

const readBooks = sharedReading(() => readBookFigures(db()), LIVE_MS);

async function readBookFigures(from: Db): Promise<BookFigures> {
  const [settledPerSecond, figures, alerts, schedules, newest] = await Promise.all([
    books.readSettledPerSecond(from),
    books.readOverviewFigures(from),
    books.listAlerts(from, { state: "open" }, { limit: NEWEST_ALERTS }),
    books.listSchedules(from),
    books.listDeductions(from, {}, { limit: TAIL_ROWS }),
  ]);
  return { settledPerSecond, figures, alerts: alerts.rows, schedules, newest: newest.rows };
}

const pace = new PaceKeeper();

const readFrame = sharedReading(async () => {
  const [streams, holds, inBooks] = await Promise.all([readStreams(), readHolds(), partOf(readBooks)]);
  const at = new Date();
  const chargesPerSecond = pace.rateOf(streams);
  const past = await pace.note(db(), {
    at: at.getTime(),
    charges: chargesPerSecond,
    settled: inBooks.value?.settledPerSecond ?? null,
    backlog: streams.value?.totals.unsettled ?? null,
    lagMs: streams.value === null ? null : (streams.value.totals.oldestUnsettledMs ?? 0),
  });
  return { at, streams, holds, books: inBooks, chargesPerSecond, pace: past };
}, LIVE_MS);

type Frame = Awaited<ReturnType<typeof readFrame>>;

/** What the overview is told each second. */
export type OverviewFrame = Omit<Frame, "books"> & {
  books: Part<Omit<BookFigures, "newest">>;
  deductions: Deduction[];
};

const readTotals = sharedReading(
  async () => ({ at: new Date(), stats: await domain.readStats(await billing()) }),
  LIVE_MS,
);

export const overviewRouter = router({
  /** For the frame of every page. */
  figures: viewerProcedure.query(() => readTotals()),
  /** Each event has the figures, and the deductions that came into the books since the event before it, or since the one named. */
  live: viewerProcedure
    .input(
      z
        .object({
          lastEventId: z
            .string()
            .regex(/^\d{1,18}$/)
            .nullish(),
        })
        .optional(),
    )
    .subscription(async function* ({ ctx, input, signal }) {
      const tail = new Tail(input?.lastEventId ?? undefined);
      for await (const frame of every(readFrame, LIVE_MS, { ctx, signal })) {
        const sent = frameFor(frame, tail.since(frame));
        yield tracked(tail.at, sent);
      }
    }),
});

/** What one watcher was shown: everything up to a row when he came (back), and since then the rows of the last reading. */
class Tail {
  #shown: ReadonlySet<string> = new Set();
  #from: bigint;

  constructor(lastEventId: string | undefined) {
    this.#from = BigInt(lastEventId ?? 0);
  }

  /** The newest row that was shown; 0 for none. */
  get at(): string {
    return String([...this.#shown].reduce((most, id) => (BigInt(id) > most ? BigInt(id) : most), this.#from));
  }

  /** Newest first; a row that was committed late is among them, once. */
  since({ books: { value } }: Frame): Deduction[] {
    if (value === null) return [];
    const news = value.newest.filter(({ id }) => BigInt(id) > this.#from && !this.#shown.has(id));
    this.#shown = new Set(value.newest.map(({ id }) => id));
    return news;
  }
}

function frameFor({ books: part, ...frame }: Frame, deductions: Deduction[]): OverviewFrame {
  if (part.value === null) return { ...frame, books: part, deductions };
  const { newest: _newest, ...value } = part.value;
  return { ...frame, books: { value, fault: null }, deductions };
}
