// Dead letters as they come about: charges that the books refuse for a while.
import { waitFor } from "@drawdown/local-stack";
import type { Charged, Stage } from "./stage.ts";

/** Charges that the books refuse to take, as dead letters by now; and then the books would take them. */
export async function makeDeadLetters(stage: Stage, count: number): Promise<Charged[]> {
  await stage.rows(
    "ALTER TABLE data.usage_log ADD CONSTRAINT usage_log_stage_check CHECK (model <> 'gpt-4o') NOT VALID",
  );
  const charged: Charged[] = [];
  for (let i = 0; i < count; i++) charged.push(await stage.charge(stage.key(0), { model: "gpt-4o" }));
  const ids = charged.map((one) => one.deduction_id);
  await waitFor(
    async () => (await stage.rows("SELECT FROM data.dead_letter WHERE deduction_id = ANY($1)", [ids])).length === count,
    { timeoutMs: 30_000, what: `${count} dead letters` },
  );
  await stage.rows("ALTER TABLE data.usage_log DROP CONSTRAINT usage_log_stage_check");
  return charged;
}
