import { migrate } from "@drawdown/db";
import { startTestRun } from "@drawdown/local-stack";

/** One Postgres with a migrated template for all live and simulation tests of this run. */
export default function setup(): Promise<() => Promise<void>> {
  return startTestRun({ migrate: (url) => migrate(url) });
}
