// The points of a chart take turns, like the sides of a comparison.
import type { Busy } from "./growth-busy.ts";
import { alternate, median } from "./statistics.ts";

/** What one turn at a point found: figures by name, and which processes were busy. */
export type Turn<Name extends string> = Record<Name, number> & { busy: Busy };

/** So many rounds over all points, after one that does not count. Medians, in the order of the points. */
export async function takeTurns<Point, Name extends string>(
  rounds: number,
  points: readonly Point[],
  turn: (point: Point) => Promise<Turn<Name>>,
): Promise<{ figures: (name: Name) => number[]; busy: Busy[] }> {
  const sides = Object.fromEntries(points.map((point, i) => [String(i), () => turn(point)]));
  const found = Object.values(await alternate(rounds, sides));
  const busyAt = (turns: readonly Turn<Name>[]): Busy => {
    const names = new Set(turns.flatMap(({ busy }) => Object.keys(busy)));
    return Object.fromEntries([...names].map((name) => [name, median(turns.map(({ busy }) => busy[name] ?? 0))]));
  };
  return {
    figures: (name) => found.map((turns) => median(turns.map((one) => one[name]))),
    busy: found.map(busyAt),
  };
}
