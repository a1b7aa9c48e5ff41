"use client";

// A chart, and the same figures for who cannot see it: a summary as its name, and a table with the exact values. uPlot, which draws it,
// is loaded when the first chart comes into view.
import { clsx } from "clsx";
import dynamic from "next/dynamic";
import { useEffect, useMemo, useState } from "react";
import { useTranslations } from "use-intl";
import { Amount } from "@/ui/amount.tsx";
import { type ChartKind, type ChartSeries, extremes, seriesColor } from "@/ui/chart-points.ts";
import { Disclosure } from "@/ui/disclosure.tsx";
import { useZone } from "@/ui/moment.tsx";
import { momentText, type Precision, zoneText } from "@/ui/time.ts";

const Canvas = dynamic(() => import("@/ui/chart-canvas.tsx").then((module) => module.ChartCanvas), { ssr: false });

export type ChartProps = {
  /** Names it; drawn only if the card around it does not. */
  title: string;
  showTitle?: boolean | undefined;
  kind: ChartKind;
  /** Ascending. */
  at: readonly Date[];
  series: readonly ChartSeries[];
  /** After each value: "USD", "ms". */
  unit?: string | undefined;
  heightPx?: number | undefined;
  precision?: Precision | undefined;
};

export function Chart(props: ChartProps) {
  const { title, showTitle, kind, at, series, unit, heightPx = 180, precision = "minutes" } = props;
  const t = useTranslations("ui.chart");
  const summary = useSummary(props);
  const empty = at.length === 0;
  const { ref, seen } = useSeen();
  return (
    <figure className="min-w-0">
      <figcaption className="mb-1 flex flex-wrap items-center gap-x-4 gap-y-1 text-xs text-quiet">
        <span className={clsx(showTitle ? "font-medium" : "sr-only")}>{title}</span>
        {series.length < 2
          ? null
          : series.map((one, place) => (
              <span key={one.label} className="inline-flex items-center gap-1.5 wrap-anywhere">
                <span
                  aria-hidden
                  className="size-2.5 shrink-0 rounded-xs"
                  style={{ background: `var(--color-series-${seriesColor(one, place)})` }}
                />
                {one.label}
              </span>
            ))}
      </figcaption>
      {empty ? (
        <p className="flex items-center justify-center text-faint" style={{ height: heightPx }}>
          {t("noPoints")}
        </p>
      ) : (
        // A canvas is no image file.
        // oxlint-disable-next-line jsx-a11y/prefer-tag-over-role
        <div ref={ref} role="img" aria-label={summary} style={{ height: heightPx }}>
          {seen && <Canvas {...{ kind, at, series, unit, heightPx, precision }} />}
        </div>
      )}
      {empty ? null : (
        <Disclosure label={t("showTable")}>
          <ChartTable {...{ title, at, series, unit, precision }} />
        </Disclosure>
      )}
    </figure>
  );
}

function useSummary({ title, at, series, unit, precision = "minutes" }: ChartProps): string {
  const t = useTranslations("ui.chart");
  const zone = useZone();
  return useMemo(() => {
    const [first] = at;
    const last = at.at(-1);
    if (first === undefined || last === undefined) return title;
    const after = unit === undefined ? "" : ` ${unit}`;
    const each = series.flatMap(({ label, values }) => {
      const found = extremes(values);
      if (found === undefined) return [];
      const { lowest, highest } = found;
      return [
        t("seriesSummary", { label, last: found.last + after, lowest: lowest + after, highest: highest + after }),
      ];
    });
    const tell = (moment: Date) => `${momentText(moment, zone, precision)} ${zoneText(moment, zone)}`;
    return t("summary", { title, count: at.length, from: tell(first), to: tell(last), series: each.join(" ") });
  }, [title, at, series, unit, precision, zone, t]);
}

function ChartTable({ title, at, series, unit, precision = "minutes" }: Omit<ChartProps, "kind">) {
  const t = useTranslations("ui.chart");
  const zone = useZone();
  return (
    <section
      aria-label={title}
      // Scrolls by keyboard as well.
      // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
      tabIndex={0}
      className="max-h-72 overflow-auto rounded-md border border-line"
    >
      <table className="w-full text-xs tabular-nums">
        <thead className="sticky top-0 bg-sunken text-left text-quiet">
          <tr>
            <th scope="col" className="px-2.5 py-1.5 font-medium whitespace-nowrap">
              {t("time")} ({zoneText(at[0] ?? new Date(0), zone)})
            </th>
            {series.map(({ label }) => (
              <th key={label} scope="col" className="px-2.5 py-1.5 text-right font-medium">
                {label} {unit === undefined ? "" : `(${unit})`}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {at.map((moment, place) => (
            <tr key={moment.getTime()} className="border-t border-line">
              <th scope="row" className="px-2.5 py-1 text-left font-normal whitespace-nowrap">
                {momentText(moment, zone, precision)}
              </th>
              {series.map(({ label, values }) => (
                <td key={label} className="px-2.5 py-1 text-right">
                  {values[place] == null ? "–" : <Amount value={values[place]} />}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** What comes above may still push it out of view. */
const STAYS_MS = 400;

/** Whether an element has been in view for a moment. */
function useSeen() {
  const [element, ref] = useState<HTMLDivElement | null>(null);
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    if (element === null || seen) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const watching = new IntersectionObserver((entries) => {
      clearTimeout(timer);
      if (entries.at(-1)?.isIntersecting) timer = setTimeout(() => setSeen(true), STAYS_MS);
    });
    watching.observe(element);
    return () => {
      clearTimeout(timer);
      watching.disconnect();
    };
  }, [element, seen]);
  return { ref, seen };
}
