// What may happen in a simulation, and how often. Crashes are counted when they come, not when they are ordered.
import type { ObservePoint } from "../src/index.ts";

/** Each with its share of the operations; all the rest are charges. */
const shares = {
  "repeated request": 0.015,
  "credit by post_credit": 0.015,
  "credit by SQL": 0.015,
  "worker crash": 0.006,
  "gateway crash": 0.015,
  "load crash": 0.006,
  "listener crash": 0.004,
  "hand-made DEL": 0.006,
  "older producer": 0.015,
  "older worker fails": 0.006,
  "older worker succeeds": 0.006,
  "dead letter": 0.01,
  "Postgres connections cut": 0.001,
  "Redis restart": 0.001,
  "listener drop": 0.001,
  cleanup: 0.0008,
  replay: 0.0006,
  "replay crash": 0.0006,
};
export type Act = keyof typeof shares;
export type Fault = Act | "crash while Redis is let in again";

/** The named moments at which each kind of process may die. */
export const crashPoints = {
  "worker crash": [
    "consume.read",
    "settle.written",
    "settle.committed",
    "dead_letter.written",
    "consume.acked",
    "consume.claimed",
  ],
  "gateway crash": ["charge.sent", "charge.answered"],
  "load crash": ["load.collected", "load.read", "load.set"],
  "listener crash": ["credit.read", "credit.applied", "credit.caught_up"],
  "replay crash": ["replay.gathered", "replay.settled", "operation.recorded"],
  "crash while Redis is let in again": ["fence.adopted", "fence.advanced"],
} as const satisfies Partial<Record<Fault, readonly ObservePoint[]>>;
export type CrashFault = keyof typeof crashPoints;

export const faults: readonly Fault[] = [...(Object.keys(shares) as Act[]), "crash while Redis is let in again"];

/** From 0 to below 1. */
export type Random = () => number;

/** What an operation does: mostly a charge. */
export function pickAct(random: Random): Act | "charge" {
  let dice = random();
  for (const act of Object.keys(shares) as Act[]) {
    dice -= shares[act];
    if (dice < 0) return act;
  }
  return "charge";
}

export function pick<T>(list: readonly T[], random: Random): T {
  const one = list[Math.floor(random() * list.length)];
  if (one === undefined) throw new Error("nothing to pick from");
  return one;
}
