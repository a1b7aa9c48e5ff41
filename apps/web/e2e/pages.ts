/**
 * Every page of the console, for the suites that hold over all of them: where it is, how it is filled (the demo's data), how it is empty
 * (the seed's alone), and which stores it reads. A page of src/app that is not here fails a test.
 */
import { globSync } from "node:fs";
import { dirname, join } from "node:path";
import { GROUP, shardOf, streamKey } from "@drawdown/billing";
import { expect, type Page } from "@playwright/test";
import type { Stage } from "./stage.ts";

export type Store = "redis" | "postgres";

type State = {
  path: string;
  /** In its main landmark as soon as it stands. */
  shows: string;
};

export type PageEntry = {
  name: string;
  /** Its folder in src/app. */
  route: string;
  filled: State & { prepare?: (stage: Stage) => Promise<void> };
  /** On a stage with the seed alone; absent where there is always something. */
  empty?: State;
  /** Whose absence it speaks of in its content, beside the frame of every page. */
  reads: readonly Store[];
  /** What the browser itself logs of it. */
  logs?: RegExp[];
  signedOut?: true;
};

/** The demo's, which are the same at every run. */
const ids = {
  account: "00000000-0000-4000-8000-000000000101",
  operation: "00000000-0000-4000-8000-000000000302",
  request: "demo-charge-0",
  nobody: "00000000-0000-4000-8000-00000000dead",
};

export const pages: readonly PageEntry[] = [
  {
    name: "overview",
    route: "(console)",
    filled: { path: "/", shows: "Cobalt Clinics" },
    empty: { path: "/", shows: "No deductions yet" },
    reads: ["redis", "postgres"],
  },
  {
    name: "accounts",
    route: "(console)/accounts",
    filled: { path: "/accounts", shows: "Granite Group" },
    empty: { path: "/accounts?search=nobody+of+this+name", shows: "Nothing matches these filters" },
    reads: ["postgres"],
  },
  {
    name: "account",
    route: "(console)/accounts/[id]",
    filled: { path: `/accounts/${ids.account}`, shows: "vk_demo_ada" },
    empty: { path: `/accounts/${ids.nobody}`, shows: "No account has this id" },
    reads: ["redis", "postgres"],
  },
  {
    name: "deductions",
    route: "(console)/deductions",
    filled: { path: "/deductions", shows: "Granite Group" },
    empty: { path: "/deductions", shows: "No deductions yet" },
    reads: ["postgres"],
  },
  {
    name: "trace",
    route: "(console)/trace/[[...id]]",
    filled: { path: `/trace/${ids.request}`, shows: "usage_log" },
    empty: { path: "/trace/ded_of_nobody", shows: "unknown" },
    reads: ["redis", "postgres"],
  },
  {
    name: "streams",
    route: "(console)/streams",
    filled: { path: "/streams", shows: "Shard 0" },
    reads: ["redis"],
  },
  {
    name: "pending",
    route: "(console)/pending",
    filled: { path: "/pending", shows: "worker-that-died", prepare: leavePending },
    empty: { path: "/pending", shows: "Nothing is pending" },
    reads: ["redis"],
  },
  {
    name: "dead-letters",
    route: "(console)/dead-letters",
    filled: { path: "/dead-letters", shows: "ded_demo_no_account" },
    empty: { path: "/dead-letters", shows: "No dead letters" },
    reads: ["postgres"],
  },
  {
    name: "operations",
    route: "(console)/operations",
    filled: { path: "/operations", shows: "demo: try what is left" },
    empty: { path: "/operations?actor=nobody", shows: "Nothing matches these filters" },
    reads: ["postgres"],
  },
  {
    name: "operation",
    route: "(console)/operations/[id]",
    filled: { path: `/operations/${ids.operation}`, shows: "demo: try what is left" },
    empty: { path: `/operations/${ids.nobody}`, shows: "There is no operation of this id" },
    reads: ["postgres"],
  },
  {
    name: "alerts",
    route: "(console)/alerts",
    filled: { path: "/alerts", shows: "unaccounted" },
    empty: { path: "/alerts", shows: "No alert is open" },
    reads: ["postgres"],
  },
  {
    name: "prices",
    route: "(console)/settings/prices",
    filled: { path: "/settings/prices?model=gpt-4o-mini", shows: "gpt-4o-mini" },
    empty: { path: "/settings/prices?model=no-such-model", shows: "Nothing matches these filters" },
    reads: ["postgres"],
  },
  {
    name: "providers",
    route: "(console)/settings/providers",
    filled: { path: "/settings/providers", shows: "anthropic" },
    reads: ["postgres"],
  },
  {
    name: "keys",
    route: "(console)/settings/keys",
    filled: { path: "/settings/keys", shows: "vk_demo_ada_app" },
    empty: { path: "/settings/keys?search=vk_of_nobody", shows: "Nothing matches these filters" },
    reads: ["postgres"],
  },
  {
    name: "operators",
    route: "(console)/settings/operators",
    filled: { path: "/settings/operators", shows: "viewer@demo.invalid" },
    reads: ["postgres"],
  },
  {
    name: "not-found",
    route: "(console)/[...unknown]",
    filled: { path: "/no/such/page", shows: "There is no such page" },
    reads: [],
    logs: [/status of 404/],
  },
  {
    name: "sign-in",
    route: "sign-in",
    filled: { path: "/sign-in", shows: "Sign in" },
    reads: [],
    signedOut: true,
  },
];

/** For operators alone: all but the sign-in. */
export const consolePages = pages.filter(({ signedOut }) => !signedOut);

/** The folders of src/app that have a page. */
export function routesOfApp(): string[] {
  const app = join(import.meta.dirname, "../src/app");
  return globSync("**/page.tsx", { cwd: app }).map((file) => dirname(file));
}

/** Opens it and waits until it stands as that state says. */
export async function visit(page: Page, { path, shows }: State): Promise<void> {
  await page.goto(path);
  await stands(page, shows);
}

/** The page stands: its content is there, and nothing of it is on its way any more. */
export async function stands(page: Page, shows: string): Promise<void> {
  const main = page.getByRole("main");
  await expect(main.getByText(shows).first()).toBeVisible({ timeout: 20_000 });
  await expect(main.locator(".skeleton-bar, table[aria-busy=true]")).toHaveCount(0, { timeout: 20_000 });
}

/** Without a worker what a consumer was given stays with it; any live one would take it over within seconds. */
async function leavePending(stage: Stage): Promise<void> {
  await stage.worker.stop();
  const { redis, numShards } = await stage.billing();
  const stream = streamKey(shardOf(ids.account, numShards));
  const entry = {
    deduction_id: `ded_left_${crypto.randomUUID()}`,
    account_id: ids.account,
    account_type: "user",
    virtual_key: "vk_demo_ada_app",
    cost: "0.0125",
    provider: "openai",
    model: "gpt-4o-mini",
  };
  await redis.xadd(stream, "*", ...Object.entries(entry).flat());
  await redis.xreadgroup("GROUP", GROUP, "worker-that-died", "COUNT", 10, "STREAMS", stream, ">");
}
