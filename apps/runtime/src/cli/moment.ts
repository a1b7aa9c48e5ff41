/** Options that are moments: absolute, or how far off from now. */
import { Option } from "commander";
import { Problem } from "../problem.ts";

const unitMs = { d: 86_400_000, h: 3_600_000, m: 60_000 } as const;

/** A moment, or how far off it is from now: ahead (1) or back (-1). */
export function moment(flags: string, description: string, direction: 1 | -1): Option {
  return new Option(flags, description).argParser((text) => {
    const [, count, unit] = /^(\d{1,6})([dhm])$/.exec(text) ?? [];
    if (count !== undefined)
      return new Date(Date.now() + direction * Number(count) * unitMs[unit as keyof typeof unitMs]);
    const at = /^\d{4}-\d{2}-\d{2}/.test(text) ? new Date(text) : undefined;
    if (at === undefined || Number.isNaN(at.getTime()))
      throw new Problem(
        `${flags.split(" ")[0]} must be a moment like 2027-01-31T12:00:00Z, or 30d, 12h, 15m, not ${text}.`,
      );
    return at;
  });
}
