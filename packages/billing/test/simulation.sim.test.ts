import { afterAll, beforeAll, expect, test } from "vitest";
import { type Fault, faults, runSeed } from "./simulation.ts";
import { openStage, type Stage } from "./stage.ts";

const first = Number(process.env.SIM_FIRST_SEED ?? 1);
const seeds = Number(process.env.SIM_SEEDS ?? 4);

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

test(`${seeds} seeds from ${first}: whatever crashes, every account equals the model to the nano at rest, and its chain is whole`, {
  timeout: seeds * 60_000,
}, async () => {
  const counts = new Map<Fault, number>();
  for (let seed = first; seed < first + seeds; seed++) {
    const problems = await runSeed({ stage, seed, operations: 2_000, accounts: 20, counts });
    expect(problems, `seed ${seed}: run again with SIM_FIRST_SEED=${seed} SIM_SEEDS=1`).toEqual([]);
  }
  const table = faults.map((fault) => `${fault}: ${counts.get(fault) ?? 0}`);
  console.log(table.join("\n"));
  if (seeds >= 20) for (const fault of faults) expect(counts.get(fault) ?? 0, fault).toBeGreaterThanOrEqual(50);
});
