"use client";

// Times on the page. The zone is the IntlProvider's, the way of telling them TimesProvider's; "now" ticks once for the whole page, and
// the first one is the server's, so that what it rendered is what the browser takes over.
import { createContext, type ReactNode, use, useSyncExternalStore } from "react";
import { useLocale, useTimeZone } from "use-intl";
import { durationText, momentText, type Precision, relativeText, zoneText } from "@/ui/time.ts";

export type Times = "absolute" | "relative";

const TICK_MS = 5_000;

const Telling = createContext<{ times: Times; servedAt: Date }>({ times: "absolute", servedAt: new Date(0) });

export function TimesProvider({ times, servedAt, children }: { times: Times; servedAt: Date; children: ReactNode }) {
  return <Telling value={{ times, servedAt }}>{children}</Telling>;
}

let tick: Date | undefined;
let timer: ReturnType<typeof setInterval> | undefined;
const watchers = new Set<() => void>();

function watch(changed: () => void): () => void {
  watchers.add(changed);
  timer ??= setInterval(() => {
    tick = new Date();
    for (const watcher of watchers) watcher();
  }, TICK_MS);
  return () => {
    watchers.delete(changed);
    if (watchers.size > 0) return;
    clearInterval(timer);
    timer = undefined;
    tick = undefined;
  };
}

/** Now, a few seconds coarse. */
export function useNow(): Date {
  const { servedAt } = use(Telling);
  return useSyncExternalStore(
    watch,
    () => (tick ??= new Date()),
    () => servedAt,
  );
}

/** The zone in which this operator reads times. */
export function useZone(): string {
  return useTimeZone() ?? "UTC";
}

export type MomentProps = {
  at: Date;
  precision?: Precision | undefined;
  /** Both at once, for pages about one thing; else as the operator chose, the other one as its title. */
  both?: boolean | undefined;
  className?: string | undefined;
};

/** A moment with its zone, absolute or relative. */
export function Moment({ at, precision = "seconds", both, className }: MomentProps) {
  const { times } = use(Telling);
  const zone = useZone();
  const language = useLocale();
  const now = useNow();
  const absolute = (
    <>
      {momentText(at, zone, precision)} <span className="text-[0.85em] text-faint">{zoneText(at, zone)}</span>
    </>
  );
  const relative = relativeText(at, now, language);
  const shown = both ? (
    <>
      {absolute} <span className="text-faint">· {relative}</span>
    </>
  ) : times === "relative" ? (
    relative
  ) : (
    absolute
  );
  return (
    <time
      dateTime={at.toISOString()}
      title={times === "relative" ? `${momentText(at, zone, "milliseconds")} ${zoneText(at, zone)}` : relative}
      className={className ?? "tabular-nums"}
    >
      {shown}
    </time>
  );
}

/** A length of time; `from` alone runs on until now. Unknown is said by the page, never 0. */
export function Duration(props: { milliseconds: number } | { from: Date; to?: Date | undefined }) {
  const now = useNow();
  const milliseconds =
    "milliseconds" in props ? props.milliseconds : Math.max(0, (props.to ?? now).getTime() - props.from.getTime());
  return (
    <time dateTime={`PT${(milliseconds / 1000).toFixed(3)}S`} className="whitespace-nowrap tabular-nums">
      {durationText(milliseconds)}
    </time>
  );
}
