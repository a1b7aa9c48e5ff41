// `npm run bench -- --growth`: how everything goes on as it grows, on Linux, for it reads /proc. A chart of each in docs/performance, its
// figures as a table in Markdown, as docs/growth.md has them. Takes sixteen minutes; `--only <chart>` draws some.
import { growAccounts } from "./growth-accounts.ts";
import { growRows, growWorkers } from "./growth-books.ts";
import { type Chart, save, table } from "./growth-chart.ts";
import { growGateways } from "./growth-gateways.ts";
import { type HeldRequest, weighRequests } from "./growth-memory.ts";

type Part = { growth: Chart } | { requests: HeldRequest[] };

const chart = (grow: () => Promise<Chart>) => async (): Promise<Part> => ({ growth: await grow() });

const parts: Record<string, () => Promise<Part>> = {
  accounts: chart(growAccounts),
  gateways: chart(growGateways),
  requests: async () => ({ requests: await weighRequests() }),
  workers: chart(growWorkers),
  rows: chart(growRows),
};

export const growthParts = Object.keys(parts);

/** Measures those that are wanted, of none all, and draws them. */
export async function measureGrowth(wanted: ReadonlySet<string>): Promise<Part[]> {
  const found: Part[] = [];
  // Several stages at once, each of which is told when this process ends.
  process.setMaxListeners(50);
  for (const [name, measure] of Object.entries(parts)) {
    if (wanted.size > 0 && !wanted.has(name)) continue;
    process.stderr.write(`measuring ${name}\n`);
    const part = await measure();
    if ("growth" in part) save(part.growth);
    found.push(part);
  }
  return found;
}

/** As tables, in Markdown. */
export function growthTables(found: readonly Part[]): string {
  return found.map((part) => ("growth" in part ? table(part.growth) : requestTable(part.requests))).join("\n\n");
}

function requestTable(requests: readonly HeldRequest[]): string {
  const kilobytes = (bytes: number) => (bytes / 1_000).toFixed(1);
  const rows = requests.map(
    ({ answer, heap, buffers, resident }) =>
      `| ${answer} | ${kilobytes(heap)} | ${kilobytes(buffers)} | ${kilobytes(resident)} |`,
  );
  return ["| answer | kB of heap | kB of buffers | kB resident |", "| --- | --- | --- | --- |", ...rows].join("\n");
}
