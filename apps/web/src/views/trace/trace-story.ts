// What a trace comes to, in the words of the page: its state, how bad that is, and which hop is the one to act at.
import type { Hop, Trace } from "@drawdown/billing";
import type { Tone } from "@/ui/tone.ts";

/** The states as an operator speaks of them. */
export type Story = Exclude<Trace["state"], "unread"> | "in_flight" | "replayed" | "discarded";

export function storyOf({ state, deadLetter }: Pick<Trace, "state" | "deadLetter">): Story {
  if (state === "unread") return "in_flight";
  if (state === "settled" && deadLetter?.["state"] === "replayed") return "replayed";
  if (state === "dead_lettered" && deadLetter?.["state"] === "discarded") return "discarded";
  return state;
}

export const tones: Record<Story, Exclude<Tone, "neutral"> | "neutral"> = {
  settled: "ok",
  replayed: "ok",
  in_flight: "accent",
  pending: "warning",
  dead_lettered: "critical",
  discarded: "warning",
  half_settled: "critical",
  unaccounted: "critical",
  held: "accent",
  uncaptured: "critical",
  released: "neutral",
  not_applied: "accent",
  refused: "warning",
  unknown: "neutral",
};

const REFRESH_MS = 2_000;

/** How often it is read again; false when nothing is expected to change by itself. */
export function refreshOf(trace: Pick<Trace, "state"> | undefined): number | false {
  const over = trace?.state === "settled" || trace?.state === "refused" || trace?.state === "released";
  return over ? false : REFRESH_MS;
}

/** `none`: there was never to be one. `waits`: nothing is wrong. `missing`: it should be there. */
export type HopLook = "reached" | "none" | "waits" | "missing";

export function lookOf(hop: Hop, { state, kind }: Pick<Trace, "state" | "kind">): HopLook {
  if (hop.reached) return "reached";
  if (hop.name === "Hold") return "none";
  if (kind === "credit" && hop.name === "usage_log") return "none";
  if (state === "released") return "none";
  if (hop.name === "Trimmed" || state === "held" || state === "unread" || state === "not_applied") return "waits";
  return "missing";
}

/** Where its entry stands, by the name under which acts take it. */
export function entryNameOf({ hops }: Pick<Trace, "hops">): string | undefined {
  const { stream, entry_id: entryId } = hops.find(({ name }) => name === "Stream entry")?.detail ?? {};
  return typeof stream === "string" && typeof entryId === "string" ? `${stream}/${entryId}` : undefined;
}
