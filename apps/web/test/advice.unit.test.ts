import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ADVICE, adviceOf } from "@/views/alerts/advice.ts";
import { aboutOf } from "@/views/alerts/alert-about.ts";

const runbook = readFileSync(join(import.meta.dirname, "../../../docs/runbook.md"), "utf8");

test("7 every kind of alert in the runbook has its advice in the console, and no other", () => {
  const headings = [...runbook.matchAll(/^## (.+)$/gm)].map(([, heading = ""]) => heading);
  const kinds = headings.map((heading) => (heading === "half_settled" ? "unaccounted" : heading));
  const names = kinds.map((kind) => (kind.startsWith("drift: ") ? kind.replace(": ", "_") : kind.replace(/: .*/, "")));
  expect([...new Set(names)].toSorted()).toEqual(ADVICE.toSorted());
  expect(adviceOf({ kind: "drift", details: { class: "fork" } })).toBe("drift_fork");
  expect(adviceOf({ kind: "drift", details: {} })).toBe("drift_unknown");
  expect(adviceOf({ kind: "of a newer version", details: {} })).toBeUndefined();
});

test("7 an alert leads to the account and the shards that it is about", () => {
  const id = "5f0e6f1c-0f0d-4a52-9f43-0c8a3d1f7a11";
  const hrefs = (kind: string, key: string, details: Record<string, unknown>) =>
    aboutOf({ kind, key, details }).map(({ href }) => href);
  expect(hrefs("drift", id, { account_id: id, shard: 3 })).toEqual([`/accounts/${id}`, "/streams#shard-3"]);
  expect(hrefs("poison_rate", "stream:deductions:7", {})).toEqual(["/streams#shard-7", "/pending"]);
  expect(hrefs("postgres_went_back", "shard 2", { shard: 2 })).toEqual(["/streams#shard-2"]);
  expect(hrefs("shard_imbalance", "", { fullest: { shard: 5, unsettled: 9 } })).toEqual(["/streams#shard-5"]);
  expect(hrefs("unaccounted", "", { shards: [1, "<b>", 1, -4] })).toEqual(["/streams#shard-1", "/streams"]);
});
