import { clsx } from "clsx";
import type { ReactNode } from "react";
import { type Tone, toneClass } from "@/ui/tone.ts";

/** A state in a word. */
export function Badge({
  tone = "neutral",
  icon,
  children,
}: {
  tone?: Tone | undefined;
  icon?: ReactNode;
  children: ReactNode;
}) {
  return (
    <span
      className={clsx(
        "inline-flex max-w-full items-center gap-1 rounded px-1.5 py-px text-xs font-medium wrap-break-word [&>svg]:size-3 [&>svg]:shrink-0",
        toneClass[tone],
      )}
    >
      {icon}
      {children}
    </span>
  );
}
