/**
 * Every page of the console, for the suites that hold over all of them: where it is, how it is filled (the demo's data), how it is empty
 * (the seed's alone), and which stores it reads. A page of src/app that is not here fails a test.
 */
import { globSync } from "node:fs";
import { dirname, join } from "node:path";
import { GROUP, shardOf, streamKey } from "@drawdown/billing";
import { expect, type Page } from "@playwright/test";
import type { Look } from "./looks.ts";
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
  filled: State;
  /** On a stage with the seed alone; absent where there is always something. */
  empty?: State;
  /** Whose absence it speaks of in its content, beside the frame of every page. */
  reads: readonly Store[];
  /** Looks that have a picture of their own, beside the wide and light one that every page has. */
  pictured?: readonly ("dark" | "narrow")[];
  /** What makes it filled, where the demo cannot. */
  prepare?: (stage: Stage) => Promise<void>;
  /** What the browser itself logs of it. */
  logs?: RegExp;
  signedOut?: true;
};

/** The demo's, which are the same at every run. */
const account = "/accounts/00000000-0000-4000-8000-000000000101";
const accountId = account.slice("/accounts/".length);
const operation = "/operations/00000000-0000-4000-8000-000000000302";
const nobody = "00000000-0000-4000-8000-00000000dead";

/** What a browser logs of an address that no page has. */
export const notFound = /status of 404/;

const nothing = "Nothing matches these filters";
const both = ["redis", "postgres"] as const;
const live = ["redis"] as const;
const books = ["postgres"] as const;

type More = Pick<PageEntry, "pictured" | "prepare" | "logs" | "signedOut">;

/** One line of the table: name, folder in src/app, stores; where it is and what it shows, filled and empty. */
function row(name: string, route: string, reads: readonly Store[], filled: Place, empty?: Place, more: More = {}) {
  const state = ([path, shows]: Place): State => ({ path, shows });
  return { name, route, reads, filled: state(filled), ...(empty ? { empty: state(empty) } : {}), ...more };
}

type Place = readonly [path: string, shows: string];

// biome-ignore format: a table
export const pages: readonly PageEntry[] = [
  row("overview", "(console)", both, ["/", "Cobalt Clinics"], ["/", "No deductions yet"], { pictured: ["dark", "narrow"] }),
  row("accounts", "(console)/accounts", books, ["/accounts", "Granite Group"], ["/accounts?search=nobody", nothing]),
  row("account", "(console)/accounts/[id]", both, [account, "vk_demo_ada"], [`/accounts/${nobody}`, "No account has this id"], { pictured: ["dark", "narrow"] }),
  row("deductions", "(console)/deductions", books, ["/deductions", "Granite Group"], ["/deductions", "No deductions yet"]),
  row("trace", "(console)/trace/[[...id]]", both, ["/trace/demo-charge-0", "usage_log"], ["/trace/ded_of_nobody", "unknown"], { pictured: ["dark", "narrow"] }),
  row("streams", "(console)/streams", live, ["/streams", "Shard 0"], ["/streams", "Shard 0"]),
  row("pending", "(console)/pending", live, ["/pending", "worker-that-died"], ["/pending", "Nothing is pending"], { prepare: leavePending }),
  row("dead-letters", "(console)/dead-letters", books, ["/dead-letters", "ded_demo_no_account"], ["/dead-letters", "No dead letters"], { pictured: ["narrow"] }),
  row("operations", "(console)/operations", books, ["/operations", "demo: try what is left"], ["/operations?actor=nobody", nothing]),
  row("operation", "(console)/operations/[id]", books, [operation, "demo: try what is left"], [`/operations/${nobody}`, "There is no operation of this id"]),
  row("alerts", "(console)/alerts", books, ["/alerts", "unaccounted"], ["/alerts", "No alert is open"]),
  row("prices", "(console)/settings/prices", books, ["/settings/prices?model=gpt-4o-mini", "gpt-4o-mini"], ["/settings/prices?model=no-such-model", nothing]),
  row("providers", "(console)/settings/providers", books, ["/settings/providers", "anthropic"]),
  row("keys", "(console)/settings/keys", books, ["/settings/keys", "vk_demo_ada_app"], ["/settings/keys?search=vk_of_nobody", nothing]),
  row("operators", "(console)/settings/operators", books, ["/settings/operators", "viewer@demo.invalid"]),
  row("not-found", "(console)/[...unknown]", [], ["/no/such/page", "There is no such page"], undefined, { logs: notFound }),
  row("sign-in", "sign-in", [], ["/sign-in", "Sign in"], undefined, { signedOut: true }),
];

/** For operators alone: all but the sign-in. */
export const consolePages = pages.filter(({ signedOut }) => !signedOut);

/** The pictures of the page with data, by the look that each is of. */
export function picturedLooks({ name, pictured = [] }: PageEntry): Partial<Record<Look["name"], string>> {
  return { light: `${name}-filled`, ...Object.fromEntries(pictured.map((look) => [look, `${name}-${look}`])) };
}

/** All pictures of a page: with data, with nothing to show, and without the first of the stores that it reads. */
export function picturesOf(entry: PageEntry): string[] {
  const { name, empty, reads } = entry;
  const filled = Object.values(picturedLooks(entry));
  return [...filled, ...(empty ? [`${name}-empty`] : []), ...(reads.length > 0 ? [`${name}-error`] : [])];
}

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
  const stream = streamKey(shardOf(accountId, numShards));
  const entry = {
    deduction_id: `ded_left_${crypto.randomUUID()}`,
    account_id: accountId,
    account_type: "user",
    virtual_key: "vk_demo_ada_app",
    cost: "0.0125",
    provider: "openai",
    model: "gpt-4o-mini",
  };
  await redis.xadd(stream, "*", ...Object.entries(entry).flat());
  await redis.xreadgroup("GROUP", GROUP, "worker-that-died", "COUNT", 10, "STREAMS", stream, ">");
}
