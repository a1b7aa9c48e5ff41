// The last minutes that the overview draws. They are noted while somebody looks; what was before is filled in from the books, which know when
// a row was charged and settled, and not how many waited.
import type { Db } from "@drawdown/db";
import { books } from "@/server/domain.ts";
import type { Part } from "@/server/parts.ts";
import type { Streams } from "@/server/stream-readings.ts";

/** Columns of points, oldest first: null is unknown. `at` is epoch milliseconds, rates are per second. */
export type Pace = {
  at: number[];
  charges: (number | null)[];
  settled: (number | null)[];
  backlog: (number | null)[];
  /** The age of the oldest entry that is not settled; 0: none waits. */
  lagMs: (number | null)[];
};

type Point = {
  at: number;
  charges: number | null;
  settled: number | null;
  backlog: number | null;
  lagMs: number | null;
};

const POINT_MS = 5_000;
const POINTS = 60;
const RATE_MS = 10_000;

/** Keeps what the streams and the books told, one call after another. */
export class PaceKeeper {
  #points: Point[] = [];
  #added: { at: number; entries: number }[] = [];

  /** Entries appended per second of the last ten, links among them; null when that is not known (yet). */
  rateOf({ value: streams }: Part<Streams>): number | null {
    const entries = streams === null ? null : addUp(streams.shards.map(({ entriesAdded }) => entriesAdded));
    const last = this.#added.at(-1);
    // Redis was emptied, or cannot tell: begin anew.
    if (entries === null || (last !== undefined && entries < last.entries)) this.#added = [];
    if (entries === null || streams === null) return null;
    const at = streams.at.getTime();
    if (last?.at !== at) this.#added.push({ at, entries });
    this.#added = this.#added.filter((one) => at - one.at <= RATE_MS);
    const [first] = this.#added;
    if (first === undefined || first.at === at) return null;
    return Math.round(((entries - first.entries) / (at - first.at)) * 10_000) / 10;
  }

  /** The points until this one. */
  async note(db: Db, point: Point): Promise<Pace> {
    const last = this.#points.at(-1);
    if (last === undefined || point.at - last.at > 3 * POINT_MS) this.#points = await readPast(db);
    if (point.at - (this.#points.at(-1)?.at ?? 0) >= POINT_MS) this.#points = [...this.#points, point].slice(-POINTS);
    const column = <Name extends keyof Point>(name: Name) => this.#points.map((one) => one[name]);
    return {
      at: column("at"),
      charges: column("charges"),
      settled: column("settled"),
      backlog: column("backlog"),
      lagMs: column("lagMs"),
    };
  }
}

async function readPast(db: Db): Promise<Point[]> {
  const span = { seconds: (POINTS * POINT_MS) / 1_000, buckets: POINTS };
  try {
    const [charges, settled] = await Promise.all([books.readChargeSeries(db, span), books.readSettledSeries(db, span)]);
    const rate = (count: number | null | undefined) => (count == null ? null : count / (POINT_MS / 1_000));
    return charges.map(({ from, charges: charged }, n) => ({
      at: from.getTime(),
      charges: rate(charged),
      settled: rate(settled[n]?.settled),
      backlog: null,
      lagMs: null,
    }));
  } catch {
    return []; // the books are away: the reading beside this one says so
  }
}

function addUp(values: readonly (number | null)[]): number | null {
  return values.reduce((sum, value) => (sum === null || value === null ? null : sum + value), 0);
}
