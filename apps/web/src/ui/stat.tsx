import { clsx } from "clsx";
import { CircleAlert, TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";
import type { Tone } from "@/ui/tone.ts";

export type StatProps = {
  label: ReactNode;
  value: ReactNode;
  note?: ReactNode;
  /** warning and critical also get their icon. */
  tone?: Tone | undefined;
};

const valueTone: Record<Tone, string> = {
  neutral: "",
  accent: "text-accent",
  ok: "text-ok",
  warning: "text-warning",
  critical: "text-critical",
};

/** One figure with its name; put several into StatGroup. */
export function Stat({ label, value, note, tone = "neutral" }: StatProps) {
  return (
    <div className="flex min-w-0 flex-col gap-0.5 bg-surface px-4 py-3">
      <dt className="text-xs text-quiet">{label}</dt>
      <dd
        className={clsx(
          "flex items-center gap-1.5 text-xl leading-7 font-semibold tracking-tight tabular-nums wrap-anywhere",
          valueTone[tone],
        )}
      >
        {tone === "warning" ? <TriangleAlert aria-hidden className="size-4 shrink-0" /> : null}
        {tone === "critical" ? <CircleAlert aria-hidden className="size-4 shrink-0" /> : null}
        <span className="min-w-0">{value}</span>
      </dd>
      {note === undefined ? null : <dd className="text-xs text-faint">{note}</dd>}
    </div>
  );
}

export function StatGroup({ label, children }: { label?: string | undefined; children: ReactNode }) {
  return (
    <dl
      aria-label={label}
      className="grid grid-cols-[repeat(auto-fit,minmax(min(100%,11rem),1fr))] gap-px overflow-hidden rounded-lg border border-line bg-line shadow-card"
    >
      {children}
    </dl>
  );
}
