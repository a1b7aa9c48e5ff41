// What a measurement gives: rows of figures, each with what it is compared with and the target of section 9 of the design.

/** `value` is a ratio, or a figure where there is no opponent. Rows without a target only inform. */
export type Row = { row: string; value: number; against: string; target: string | null; met: boolean | null };

/** Measures rows that share a stage. `wanted` names at least one of them; what takes time and is not wanted is left out. */
export type Family = {
  rows: readonly string[];
  measure(wanted: ReadonlySet<string>): Promise<Row[]>;
};

/** A row that must reach at least, or stay at most at, a figure. */
export function judge(row: string, value: number, against: string, target: { least: number } | { most: number }): Row {
  const least = "least" in target;
  const bound = least ? target.least : target.most;
  const met = least ? value >= bound : value <= bound;
  return { row, value, against, target: `${least ? "≥" : "≤"} ${bound}`, met };
}

/** A row that only informs. */
export function tell(row: string, value: number, against: string): Row {
  return { row, value, against, target: null, met: null };
}
