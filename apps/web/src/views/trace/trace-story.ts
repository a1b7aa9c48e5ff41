// What a trace comes to, in the words of the page: its state, how bad that is, and which hop is the one to act at.
import type { Hop, Trace } from "@drawdown/billing";
import type { Tone } from "@/ui/tone.ts";

/** The states as an operator speaks of them. */
export type Story =
  | Exclude<Trace["state"], "unread">
  | "in_flight"
  | "replayed"
  | "discarded"
  | "too_old"
  | "perhaps_exported";

export function storyOf({ state, deadLetter, exports }: Pick<Trace, "state" | "deadLetter" | "exports">): Story {
  if (state === "unread") return "in_flight";
  if (state === "settled" && deadLetter?.["state"] === "replayed") return "replayed";
  if (state === "dead_lettered" && deadLetter?.["state"] === "discarded") return "discarded";
  if (isTooOld({ state, deadLetter })) return "too_old";
  if (state === "unknown" && exports.length > 0) return "perhaps_exported";
  return state;
}

/** A dead letter of what retention exported, or may have: it can only be looked up, and set aside. */
export function isTooOld({ state, deadLetter }: Pick<Trace, "state" | "deadLetter">): boolean {
  return state === "dead_lettered" && deadLetter?.["error_class"] === "too_old";
}

export const tones: Record<Story, Exclude<Tone, "neutral"> | "neutral"> = {
  settled: "ok",
  replayed: "ok",
  in_flight: "accent",
  pending: "warning",
  dead_lettered: "critical",
  discarded: "warning",
  too_old: "warning",
  half_settled: "critical",
  unaccounted: "critical",
  exported: "ok",
  perhaps_exported: "neutral",
  held: "accent",
  uncaptured: "critical",
  released: "neutral",
  not_applied: "accent",
  refused: "warning",
  unknown: "neutral",
};

const REFRESH_MS = 2_000;

/** How often it is read again; false when nothing is expected to change by itself. */
export function refreshOf(trace: Pick<Trace, "state" | "exports"> | undefined): number | false {
  if (trace === undefined) return REFRESH_MS;
  const { state, exports } = trace;
  // What left the books for a file does not come back.
  const over = state === "settled" || state === "refused" || state === "released" || exports.length > 0;
  return over ? false : REFRESH_MS;
}

/** `none`: there was never to be one. `waits`: nothing is wrong. `missing`: it should be there. */
export type HopLook = "reached" | "none" | "waits" | "missing";

export function lookOf(hop: Hop, trace: Pick<Trace, "state" | "kind" | "deadLetter">): HopLook {
  const { state, kind } = trace;
  if (hop.reached) return "reached";
  if (hop.name === "Hold") return "none";
  if (kind === "credit" && hop.name === "usage_log") return "none";
  if (state === "released") return "none";
  if ((state === "exported" || isTooOld(trace)) && hop.name !== "Trimmed") return "none";
  if (hop.name === "Trimmed" || state === "held" || state === "unread" || state === "not_applied") return "waits";
  return "missing";
}

/** Where its entry stands, by the name under which acts take it. */
export function entryNameOf({ hops }: Pick<Trace, "hops">): string | undefined {
  const { stream, entry_id: entryId } = hops.find(({ name }) => name === "Stream entry")?.detail ?? {};
  return typeof stream === "string" && typeof entryId === "string" ? `${stream}/${entryId}` : undefined;
}
