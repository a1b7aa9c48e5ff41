"use client";

import { clsx } from "clsx";
import { Pause, Radio, Unplug } from "lucide-react";
import { useTranslations } from "use-intl";

export type LineState = "connecting" | "up" | "down" | "paused";

const looks: Record<LineState, { icon: typeof Radio; className: string }> = {
  up: { icon: Radio, className: "text-ok" },
  connecting: { icon: Radio, className: "text-faint animate-breathe" },
  down: { icon: Unplug, className: "text-critical" },
  paused: { icon: Pause, className: "text-warning" },
};

/** Whether what is shown moves by itself. */
export function LineIndicator({ state }: { state: LineState }) {
  const t = useTranslations("ui");
  const { icon: Icon, className } = looks[state];
  return (
    <output className="inline-flex items-center gap-1.5 text-xs whitespace-nowrap text-quiet">
      <Icon aria-hidden className={clsx("size-3.5", className)} />
      {t(`line.${state}`)}
    </output>
  );
}
