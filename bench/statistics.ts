// Medians over alternating rounds: what else the machine does in a while meets every side of a comparison alike.

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** The value below which a share of them lies; NaN of none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Runs each side once a round, one after another, so many rounds, after one round that does not count. */
export async function alternate<S extends string, R>(
  rounds: number,
  sides: Record<S, () => Promise<R>>,
): Promise<Record<S, R[]>> {
  const names = Object.keys(sides) as S[];
  const found = Object.fromEntries(names.map((name) => [name, [] as R[]])) as Record<S, R[]>;
  for (const name of names) await sides[name]();
  for (let round = 0; round < rounds; round += 1) for (const name of names) found[name].push(await sides[name]());
  return found;
}

/** Runs so many lanes for so long, each asking again as soon as it is answered. Returns answers per second. */
export async function inLanes(lanes: number, ms: number, ask: () => Promise<unknown>): Promise<number> {
  let done = 0;
  const startedAt = performance.now();
  const lane = async () => {
    while (performance.now() - startedAt < ms) {
      await ask();
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return (done * 1_000) / (performance.now() - startedAt);
}
