/** What a colour says. Never the only sign of it: an icon, a word or a sign says it too. */
export type Tone = "neutral" | "accent" | "ok" | "warning" | "critical";

/** Text and soft ground of each tone. */
export const toneClass: Record<Tone, string> = {
  neutral: "bg-sunken text-quiet",
  accent: "bg-accent-soft text-accent-strong",
  ok: "bg-ok-soft text-ok",
  warning: "bg-warning-soft text-warning",
  critical: "bg-critical-soft text-critical",
};
