// What a chart draws, from exact decimal texts. They become numbers here and nowhere else, to be placed on a canvas; whatever is read
// (tooltip, table, summary) is the text itself.

export type ChartKind = "lines" | "steps" | "bars";

export type ChartSeries = {
  label: string;
  /** One for each moment; null: not known then. */
  values: readonly (string | null)[];
  /** series-1 to series-8; its place among the series when not given. */
  color?: 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | undefined;
};

export type Drawn = [x: number[], ...y: (number | null)[][]];

/** The place a series has among the colours. */
export const seriesColor = ({ color }: ChartSeries, place: number): number => color ?? (place % 8) + 1;

/**
 * Seconds and a line of numbers each. Bars are stacked, each series on those before it, and come highest first: those after it are drawn
 * over it.
 */
export function drawn(kind: ChartKind, at: readonly Date[], series: readonly ChartSeries[]): Drawn {
  const x = at.map((moment) => moment.getTime() / 1000);
  const floor = x.map(() => 0);
  const lines = series.map(({ values }) =>
    x.map((_, place) => {
      const text = values[place];
      if (text === undefined || text === null) return null;
      if (kind !== "bars") return Number(text);
      floor[place] = (floor[place] ?? 0) + Number(text);
      return floor[place];
    }),
  );
  return [x, ...(kind === "bars" ? lines.toReversed() : lines)];
}

/** -1, 0, 1 for two decimal texts of any length, exactly. */
export function compareDecimals(left: string, right: string): number {
  const digits = Math.max(fractionOf(left).length, fractionOf(right).length);
  const [a, b] = [scaled(left, digits), scaled(right, digits)];
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Last, lowest and highest of the values that are known; undefined when none is. */
export function extremes(
  values: readonly (string | null)[],
): { last: string; lowest: string; highest: string } | undefined {
  const known = values.filter((value) => value !== null);
  const last = known.at(-1);
  if (last === undefined) return undefined;
  const lowest = known.reduce((least, value) => (compareDecimals(value, least) < 0 ? value : least));
  const highest = known.reduce((most, value) => (compareDecimals(value, most) > 0 ? value : most));
  return { last, lowest, highest };
}

function fractionOf(text: string): string {
  return text.split(".")[1] ?? "";
}

function scaled(text: string, digits: number): bigint {
  return BigInt((text.split(".")[0] ?? "0") + fractionOf(text).padEnd(digits, "0"));
}
