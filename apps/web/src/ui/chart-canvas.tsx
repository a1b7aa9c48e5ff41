"use client";

// The drawing: uPlot on a canvas, in the page's colours and the operator's zone. Made anew when the series, the zone or the colours
// change; new points are only set.
import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import UPlot from "uplot";
import { useLocale } from "use-intl";
import { Amount } from "@/ui/amount.tsx";
import { type ChartKind, type ChartSeries, drawn, seriesColor } from "@/ui/chart-points.ts";
import { useZone } from "@/ui/moment.tsx";
import { momentText, type Precision, zoneText } from "@/ui/time.ts";

export type CanvasProps = {
  kind: ChartKind;
  at: readonly Date[];
  series: readonly ChartSeries[];
  unit: string | undefined;
  heightPx: number;
  precision: Precision;
};

type Pointed = { place: number; left: number; flipped: boolean };

export function ChartCanvas(props: CanvasProps) {
  return <Plot key={useScheme()} {...props} />;
}

function Plot({ kind, at, series, unit, heightPx, precision }: CanvasProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot>(undefined);
  const points = useRef<UPlot.AlignedData>([[]]);
  const [pointed, setPointed] = useState<Pointed | undefined>();
  const zone = useZone();
  const language = useLocale();
  const shape = series.map(seriesColor).join(" ");

  useEffect(() => {
    points.current = drawn(kind, at, series);
    plot.current?.setData(points.current);
  }, [kind, at, series]);

  useEffect(() => {
    const around = box.current;
    if (around === null) return;
    const colors = shape.split(" ").map((color) => computed(around, `--color-series-${color}`));
    const lines = { axis: computed(around, "--color-faint"), grid: computed(around, "--color-line") };
    const options = optionsOf({ kind, zone, language, colors, lines, heightPx, widthPx: around.clientWidth });
    options.hooks = { setCursor: [(made) => setPointed(pointedAt(made))] };
    const made = new UPlot(options, points.current, around);
    plot.current = made;
    const sized = new ResizeObserver(() => made.setSize({ width: around.clientWidth, height: heightPx }));
    sized.observe(around);
    return () => {
      sized.disconnect();
      plot.current = undefined;
      made.destroy();
    };
  }, [kind, shape, zone, language, heightPx]);

  const moment = pointed === undefined ? undefined : at[pointed.place];
  return (
    <div ref={box} className="relative min-w-0" style={{ height: heightPx }}>
      {pointed === undefined || moment === undefined ? null : (
        <div
          className="popup pointer-events-none absolute top-1 z-10 flex max-w-full flex-col gap-0.5 px-2 py-1.5 text-xs whitespace-nowrap"
          style={{
            left: pointed.left,
            translate: pointed.flipped ? "calc(-100% - 8px)" : "8px",
          }}
        >
          <span className="text-faint">
            {momentText(moment, zone, precision)} {zoneText(moment, zone)}
          </span>
          {series.map((one, place) => (
            <span key={one.label} className="flex items-center gap-1.5">
              <span
                className="size-2 rounded-xs"
                style={{ background: `var(--color-series-${seriesColor(one, place)})` }}
              />
              <span className="text-quiet">{one.label}</span>
              <span className="ml-auto pl-3 font-medium">
                {one.values[pointed.place] == null ? (
                  "–"
                ) : (
                  <Amount value={one.values[pointed.place] ?? ""} currency={unit} />
                )}
              </span>
            </span>
          ))}
        </div>
      )}
    </div>
  );
}

function pointedAt({ cursor: { idx, left }, width }: UPlot): Pointed | undefined {
  if (idx === null || idx === undefined || left === undefined || left < 0) return undefined;
  return { place: idx, left: left + AXIS_PX, flipped: left + AXIS_PX > width / 2 };
}

const AXIS_PX = 52;
const DAY_SECONDS = 86_400;

type Look = {
  kind: CanvasProps["kind"];
  zone: string;
  language: string;
  colors: string[];
  lines: { axis: string; grid: string };
  heightPx: number;
  widthPx: number;
};

function optionsOf({ kind, zone, language, colors, lines, heightPx, widthPx }: Look): UPlot.Options {
  const compact = new Intl.NumberFormat(language, { notation: "compact", maximumSignificantDigits: 4 });
  const font = '11px "Inter Variable", system-ui, sans-serif';
  const axis = { stroke: lines.axis, font, ticks: { show: false }, grid: { stroke: lines.grid, width: 1 } };
  const { bars, stepped, linear } = UPlot.paths;
  const paths =
    kind === "bars" ? bars?.({ size: [0.7, 48], align: 1 }) : kind === "steps" ? stepped?.({ align: 1 }) : linear?.();
  const drawnSeries = colors.map((color) => ({
    stroke: color,
    width: kind === "bars" ? 0 : 1.75,
    ...(kind === "bars" ? { fill: color } : colors.length === 1 ? { fill: faded(color) } : {}),
    ...(paths === undefined ? {} : { paths }),
    points: kind === "bars" ? { show: false } : { show: true, size: 5, fill: color, filter: aloneIn },
  }));
  return {
    width: widthPx,
    height: heightPx,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: kind !== "bars" } },
    tzDate: (seconds) => UPlot.tzDate(new Date(seconds * 1000), zone),
    scales:
      kind === "bars" ? { y: { range: (_plot, low, high) => [Math.min(0, low), high <= 0 ? 1 : high * 1.05] } } : {},
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 28,
        values: (_plot, splits, _axis, _space, step) => clock(splits, step, zone),
      },
      { ...axis, size: AXIS_PX, values: (_plot, splits) => splits.map((value) => compact.format(value)) },
    ],
    series: [{}, ...(kind === "bars" ? drawnSeries.toReversed() : drawnSeries)],
  };
}

/** The places of values with nothing known beside them: no line shows these. */
function aloneIn({ data }: UPlot, place: number): number[] {
  const values = data[place] ?? [];
  const known = (at: number) => values[at] !== null && values[at] !== undefined;
  return [...values.keys()].filter((at) => known(at) && !known(at - 1) && !known(at + 1));
}

/** Days where the steps are days, else the time of day, with the day where a new one begins. */
function clock(splits: number[], step: number, zone: string): string[] {
  let day = "";
  return splits.map((seconds) => {
    const [date = "", time = ""] = momentText(new Date(seconds * 1000), zone, step < 60 ? "seconds" : "minutes").split(
      " ",
    );
    const fresh = date !== day;
    day = date;
    if (step >= DAY_SECONDS) return date.slice(5);
    return fresh && time.startsWith("00:00") ? date.slice(5) : time;
  });
}

function faded(color: string): string {
  return color.replace(/^rgb\((.*)\)$/, "rgba($1, 0.12)");
}

/** The value of a colour token as the page draws it now: a canvas knows neither variables nor light-dark(). */
function computed(around: HTMLElement, token: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${token})`;
  around.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** Changes whenever the page's colours do. */
function useScheme(): string {
  return useSyncExternalStore(
    (changed) => {
      const system = window.matchMedia("(prefers-color-scheme: dark)");
      const chosen = new MutationObserver(changed);
      chosen.observe(document.documentElement, { attributeFilter: ["data-theme"] });
      system.addEventListener("change", changed);
      return () => {
        chosen.disconnect();
        system.removeEventListener("change", changed);
      };
    },
    () =>
      `${document.documentElement.dataset["theme"] ?? ""} ${window.matchMedia("(prefers-color-scheme: dark)").matches}`,
    () => "",
  );
}
