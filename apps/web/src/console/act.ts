"use client";

// One act of an operator, from the moment its dialog opens: it has an id of its own, so that a double click, a second try after a lost
// answer, or a page that was sent twice has one effect.
import { useState } from "react";

/** How much an act touches decides how it is confirmed. */
export type Impact =
  /** A button is enough. */
  | { kind: "one" }
  /** The number of targets is typed. */
  | { kind: "many"; count: number }
  /** A word is typed: the shard of a cleanup. */
  | { kind: "named"; word: string };

/** Targets from which on their number is typed. */
const MANY = 2;

export function impactOf(count: number): Impact {
  return count < MANY ? { kind: "one" } : { kind: "many", count };
}

/** What must be typed; null when a button is enough. */
function wordOf(impact: Impact): string | null {
  switch (impact.kind) {
    case "one":
      return null;
    case "many":
      return String(impact.count);
    case "named":
      return impact.word;
  }
}

/** A random UUID; `crypto.randomUUID` is missing where the console is reached over plain http by another name than localhost. */
export function newActId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const [six = 0, eight = 0] = [bytes[6], bytes[8]];
  bytes[6] = (six & 0x0f) | 0x40;
  bytes[8] = (eight & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** What the dialog gathers. */
export type Confirmation = { actId: string; reason: string };

/** The state of one confirmation: kept until `renew`, which a dialog that opens again calls. */
export function useConfirmation(impact: Impact) {
  const [actId, setActId] = useState(newActId);
  const [reason, setReason] = useState("");
  const [typed, setTyped] = useState("");
  const word = wordOf(impact);
  const ready = reason.trim() !== "" && (word === null || typed.trim() === word);
  const renew = () => {
    setActId(newActId());
    setReason("");
    setTyped("");
  };
  return { confirmation: { actId, reason: reason.trim() }, reason, setReason, typed, setTyped, word, ready, renew };
}
