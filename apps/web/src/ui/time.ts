// Moments as text and back, in any zone of the tz database. Written year-month-day in every language: it sorts, and nobody takes the
// month for the day.

export type Precision = "minutes" | "seconds" | "milliseconds";

type Wall = { year: number; month: number; day: number; hour: number; minute: number; second: number };

const formats = new Map<string, Intl.DateTimeFormat>();

function wallFormat(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat("en-US-u-ca-gregory-nu-latn", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
    });
    formats.set(zone, format);
  }
  return format;
}

function wallOf(moment: Date, zone: string): Wall {
  const wall: Wall = { year: 0, month: 0, day: 0, hour: 0, minute: 0, second: 0 };
  for (const { type, value } of wallFormat(zone).formatToParts(moment))
    if (type in wall) wall[type as keyof Wall] = Number(value);
  return wall;
}

function wallMs({ year, month, day, hour, minute, second }: Wall): number {
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

/** How far `zone` is ahead of UTC at `moment`, in minutes (seconds of long ago are dropped). */
function zoneOffsetMinutes(moment: Date, zone: string): number {
  const seconds = Math.floor(moment.getTime() / 1000) * 1000;
  return Math.round((wallMs(wallOf(moment, zone)) - seconds) / 60_000);
}

/** "UTC", "UTC+05:30": the same in every language. */
export function zoneText(moment: Date, zone: string): string {
  const minutes = zoneOffsetMinutes(moment, zone);
  if (minutes === 0) return "UTC";
  const ahead = Math.abs(minutes);
  return `UTC${minutes < 0 ? "−" : "+"}${two(Math.floor(ahead / 60))}:${two(ahead % 60)}`;
}

/** "2026-11-23 19:33:05" in `zone`. */
export function momentText(moment: Date, zone: string, precision: Precision = "seconds"): string {
  const wall = wallOf(moment, zone);
  const minutes = `${dayOf(wall)} ${two(wall.hour)}:${two(wall.minute)}`;
  if (precision === "minutes") return minutes;
  const seconds = `${minutes}:${two(wall.second)}`;
  const milliseconds = ((moment.getTime() % 1000) + 1000) % 1000;
  return precision === "seconds" ? seconds : `${seconds}.${String(milliseconds).padStart(3, "0")}`;
}

/** "2026-11-23" in `zone`. */
export function dayText(moment: Date, zone: string): string {
  return dayOf(wallOf(moment, zone));
}

function dayOf({ year, month, day }: Wall): string {
  return `${String(year).padStart(4, "0")}-${two(month)}-${two(day)}`;
}

/** What <input type="datetime-local"> takes: "2026-11-23T19:33:05". */
export function wallText(moment: Date, zone: string): string {
  return momentText(moment, zone).replace(" ", "T");
}

/** The moment that a wall clock in `zone` showed; the first one where clocks went back, the later one where they skipped it. undefined: no date. */
export function wallMoment(text: string, zone: string): Date | undefined {
  const wanted = /^\d{4,}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?$/.test(text) ? Date.parse(`${text}Z`) : Number.NaN;
  if (Number.isNaN(wanted)) return undefined;
  const before = new Date(wanted - zoneOffsetMinutes(new Date(wanted - 86_400_000), zone) * 60_000);
  const after = new Date(wanted - zoneOffsetMinutes(new Date(wanted + 86_400_000), zone) * 60_000);
  const shows = (moment: Date) => moment.getTime() + zoneOffsetMinutes(moment, zone) * 60_000 === wanted;
  if (shows(before) || !shows(after)) return before;
  return after;
}

const steps: readonly (readonly [unit: Intl.RelativeTimeFormatUnit, seconds: number])[] = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** "3 minutes ago", "in 2 hours"; whole units, towards now. */
export function relativeText(moment: Date, now: Date, language: string): string {
  const seconds = Math.trunc((moment.getTime() - now.getTime()) / 1000);
  const [unit, length] = steps.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  const count = Math.trunc(seconds / length);
  const format = new Intl.RelativeTimeFormat(language, {
    numeric: unit === "second" && count === 0 ? "auto" : "always",
  });
  return format.format(count, unit);
}

/** Two units at most, nothing rounded up: "250 ms", "4.2 s", "3 min 5 s", "2 h 14 min", "6 d 3 h". */
export function durationText(milliseconds: number): string {
  if (milliseconds < 0) return `−${durationText(-milliseconds)}`;
  if (milliseconds < 1) return `${trimmed(milliseconds, 100)} ms`;
  if (milliseconds < 1_000) return `${Math.floor(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${trimmed(milliseconds / 1_000, milliseconds < 10_000 ? 100 : 10)} s`;
  const seconds = Math.floor(milliseconds / 1_000);
  if (seconds < 3_600) return pair(Math.floor(seconds / 60), "min", seconds % 60, "s");
  if (seconds < 86_400) return pair(Math.floor(seconds / 3_600), "h", Math.floor((seconds % 3_600) / 60), "min");
  return pair(Math.floor(seconds / 86_400), "d", Math.floor((seconds % 86_400) / 3_600), "h");
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

function trimmed(value: number, digits: number): string {
  return String(Math.floor(value * digits) / digits);
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** Whether the runtime knows this name of a zone. */
export function isZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}
