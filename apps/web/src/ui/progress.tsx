"use client";

import { Progress as Base } from "@base-ui/react/progress";
import { clsx } from "clsx";
import type { ReactNode } from "react";
import type { Tone } from "@/ui/tone.ts";

export type ProgressProps = {
  label: ReactNode;
  done: number;
  /** null: how much there is to do is not known. */
  total: number | null;
  /** What is read out and drawn: "1,204 of 5,000". */
  text: string;
  tone?: Extract<Tone, "accent" | "ok" | "warning" | "critical"> | undefined;
};

const fills = { accent: "bg-accent", ok: "bg-ok", warning: "bg-warning", critical: "bg-critical" };

export function ProgressBar({ label, done, total, text, tone = "accent" }: ProgressProps) {
  return (
    <Base.Root
      value={total === null ? null : Math.min(done, total)}
      max={total === null || total === 0 ? 1 : total}
      getAriaValueText={() => text}
      className="grid grid-cols-[1fr_auto] gap-x-3 gap-y-1 text-xs"
    >
      <Base.Label className="font-medium text-quiet">{label}</Base.Label>
      <Base.Value className="text-quiet tabular-nums">{() => text}</Base.Value>
      <Base.Track className="col-span-2 h-1.5 overflow-hidden rounded-full bg-line">
        <Base.Indicator
          className={clsx(
            "h-full rounded-full transition-[width] duration-300 data-indeterminate:w-1/3 data-indeterminate:animate-breathe",
            fills[tone],
          )}
        />
      </Base.Track>
    </Base.Root>
  );
}
