// What a form says of a key's limits: as it is typed, what is wrong with it, and what it means.
import { parseUnits } from "@drawdown/billing/money";
import type { KeyListRow } from "@drawdown/db";

export const PERIODS = ["day", "week", "month"] as const;
export const HOLDS = ["gateway", "available", "worst_case"] as const;
export const LEAVES = ["gateway", "drain", "cut"] as const;

export type KeyText = {
  name: string;
  expiresAt: Date | null;
  models: string;
  limit: string;
  period: (typeof PERIODS)[number];
  rpm: string;
  hold: (typeof HOLDS)[number];
  leave: (typeof LEAVES)[number];
};

/** As the procedures take it; null: it has none. The limit is decimal text of units. */
export type KeyMeaning = {
  name: string | null;
  expiresAt: Date | null;
  allowedModels: string[] | null;
  spendLimit: { limit: string; period: (typeof PERIODS)[number] } | null;
  requestsPerMinute: number | null;
  holdPolicy: "available" | "worst_case" | null;
  leavePolicy: "drain" | "cut" | null;
};

export const blankKey: KeyText = {
  name: "",
  expiresAt: null,
  models: "",
  limit: "",
  period: "month",
  rpm: "",
  hold: "gateway",
  leave: "gateway",
};

export function textOf(key: KeyListRow): KeyText {
  return {
    name: key.name ?? "",
    expiresAt: key.expiresAt,
    models: (key.allowedModels ?? []).join("\n"),
    limit: key.spendLimit ?? "",
    period: key.spendPeriod ?? "month",
    rpm: key.requestsPerMinute?.toString() ?? "",
    hold: HOLDS.find((known) => known === key.holdPolicy) ?? "gateway",
    leave: LEAVES.find((known) => known === key.leavePolicy) ?? "gateway",
  };
}

export type KeyProblems = { limit?: true; rpm?: true; expiresAt?: true };

/** Of the fields whose form is known here; the rest is for the server to judge. */
export function problemsOf(text: KeyText, now = Date.now()): KeyProblems {
  const { limit, rpm, expiresAt } = text;
  return {
    ...(limit.trim() !== "" && !isLimit(limit.trim()) ? { limit: true } : {}),
    ...(rpm.trim() !== "" && !/^[1-9]\d{0,5}$/.test(rpm.trim()) ? { rpm: true } : {}),
    ...(expiresAt !== null && expiresAt.getTime() <= now ? { expiresAt: true } : {}),
  };
}

function meaningOf(text: KeyText): KeyMeaning {
  const models = text.models.split("\n").map((model) => model.trim());
  const named = models.filter((model) => model !== "");
  const limit = text.limit.trim();
  return {
    name: text.name.trim() || null,
    expiresAt: text.expiresAt,
    allowedModels: named.length === 0 ? null : named,
    spendLimit: limit === "" ? null : { limit, period: text.period },
    requestsPerMinute: text.rpm.trim() === "" ? null : Number(text.rpm.trim()),
    holdPolicy: text.hold === "gateway" ? null : text.hold,
    leavePolicy: text.leave === "gateway" ? null : text.leave,
  };
}

/** Only what differs from how the key was: what was not touched stays as it is, whoever changes it meanwhile. */
export function changesOf(before: KeyText, after: KeyText): Partial<KeyMeaning> {
  const [was, is] = [meaningOf(before), meaningOf(after)];
  const changed = (Object.keys(is) as (keyof KeyMeaning)[]).filter(
    (name) => JSON.stringify(was[name]) !== JSON.stringify(is[name]),
  );
  return Object.fromEntries(changed.map((name) => [name, is[name]]));
}

/** What a new key is given: a limit that it has not is left out. */
export function limitsOf(text: KeyText): Given {
  return Object.fromEntries(Object.entries(meaningOf(text)).filter(([, value]) => value !== null));
}

type Given = { [Name in keyof KeyMeaning]?: NonNullable<KeyMeaning[Name]> };

function isLimit(text: string): boolean {
  try {
    return parseUnits(text) >= 0n;
  } catch {
    return false;
  }
}
