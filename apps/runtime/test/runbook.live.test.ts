import { waitFor } from "@drawdown/local-stack";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Claim, readRunbook, type Section, wordsOf } from "./runbook.ts";
import { leaveOldEntry, scenes } from "./runbook-scenes.ts";
import { openRunbookStage, type RunbookStage } from "./runbook-stage.ts";

let stage: RunbookStage;
beforeAll(async () => {
  stage = await openRunbookStage();
  await stage.installQueue();
  await leaveOldEntry(stage);
});
afterAll(() => stage.stop());

const sections = new Map(readRunbook().map((section) => [section.name, section]));

/** The alert that a section is about, and how its message begins. */
function alertOf(name: string): { kind: string; begins: string } {
  const [kind = "", driftClass = ""] = name.split(": ");
  if (name === "half_settled") return { kind: "unaccounted", begins: "" };
  return { kind, begins: kind === "drift" ? `${driftClass}: ` : "" };
}

/** The lines of `drawdown stats` about open alerts of a kind: they come last. */
function listed(stats: string, kind: string): string[] {
  const [, alerts = ""] = stats.split(/^open alert .*$/m);
  return alerts.split("\n").filter((line) => line.startsWith(`${kind} `));
}

/** What the words in angle brackets are, as far as it was printed. */
function valuesIn(printed: string, alert: string): Record<string, string> {
  const found = {
    account: /\s([0-9a-f]{8}-[0-9a-f-]{27})\s/.exec(alert)?.[1],
    shard: /(?:[Ss]hard |stream:deductions:)(\d+)/.exec(alert)?.[1],
    deduction: /\b(ded_[\w-]+)/.exec(printed)?.[1],
    letter: /^(\d+)\s+open/m.exec(printed)?.[1],
    seqs: /^\S+\s+(?:fork|gap|mismatch)\s+(\d+(?:-\d+)?)/m.exec(printed)?.[1],
  };
  return Object.fromEntries(Object.entries(found).flatMap(([name, value]) => (value ? [[name, value]] : [])));
}

/** Throws with what the command said when the claim is not true. */
async function checkClaim(claim: Claim, values: Record<string, string>): Promise<true> {
  const { code, stdout, stderr } = await stage.run(wordsOf(claim.command, values));
  const isTrue =
    "exits" in claim
      ? code === claim.exits
      : code === 0 &&
        ("prints" in claim ? stdout.includes(claim.prints) : listed(stdout, claim.noLongerLists).length === 0);
  if (!isTrue) throw new Error(`${claim.command} exited ${code} and said:\n${stdout}${stderr}`);
  return true;
}

/** Runs what the first part quotes: it shows the alert, and what the later commands need. */
async function look({ name, look: commands }: Section): Promise<Record<string, string>> {
  const { kind, begins } = alertOf(name);
  const { stdout: stats } = await stage.run(["stats"]);
  const alert = listed(stats, kind).join("\n");
  expect(alert, `the alert in:\n${stats}`).toContain(begins);
  expect(alert).not.toBe("");
  let printed = "";
  const values = () => ({ ...valuesIn(printed, alert), ...scenes[name]?.values?.(printed) });
  for (const command of commands) {
    const { code, stdout, stderr } = await stage.run(wordsOf(command, values()));
    // A proof that finds something exits 1, and says what on standard output.
    expect([0, 1], `${command}: ${stderr}`).toContain(code);
    expect(stdout, `${command}: ${stderr}`).not.toBe("");
    printed += stdout;
  }
  return values();
}

async function act(commands: readonly string[], values: Record<string, string>): Promise<void> {
  for (const command of commands) {
    const words = wordsOf(command, values);
    if (words[0] === "worker") stage.start(words);
    else expect(await stage.run(words), command).toMatchObject({ code: 0 });
  }
}

describe("docs/runbook.md", () => {
  for (const [name, scene] of Object.entries(scenes)) {
    test(`the section ${name}: its commands bring the system out of that state, and its last line comes true`, async () => {
      const section = sections.get(name);
      if (!section) throw new Error(`The runbook has no section ${name}.`);
      await scene.given(stage);
      const values = await look(section);
      await scene.mend?.(stage);
      await act(section.act, values);
      if (scene.drained) await stage.untilDrained();
      for (const pass of scene.passes ?? []) await stage.pass(pass);
      for (const claim of section.worked) {
        const what = `${claim.command} to come true`;
        await waitFor(() => checkClaim(claim, values), { timeoutMs: 30_000, what, intervalMs: 200 });
      }
      await stage.stopProcesses();
      expect(await stage.openKinds()).toEqual([]);
    }, 90_000);
  }
});
