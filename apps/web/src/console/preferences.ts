// How an operator wants the console to look and to tell times. Kept in one cookie of this browser, so that the server renders it right
// at first paint; nothing in it is a secret, and whatever is wrong in it counts as not set.
import { isZone } from "../ui/time.ts";

export const themes = ["system", "light", "dark"] as const;
export const languages = ["en", "zh-CN"] as const;
export const timesOptions = ["absolute", "relative"] as const;

export type Theme = (typeof themes)[number];
export type Language = (typeof languages)[number];

export type Preferences = {
  theme: Theme;
  language: Language;
  /** A name of the tz database, or the browser's own. */
  zone: string;
  times: (typeof timesOptions)[number];
  /** The browser's own zone as it last told; the server cannot ask for it. */
  here: string | null;
};

export const BROWSER_ZONE = "browser";
export const PREFERENCES_COOKIE = "drawdown.preferences";

/** From the cookie's value (undefined: none yet); its language is else the first that the browser asks for and we have. */
export function parsePreferences(cookie: string | undefined, acceptLanguage: string | null): Preferences {
  const given = new URLSearchParams(cookie ?? "");
  const zone = given.get("zone");
  const here = given.get("here");
  return {
    theme: oneOf(themes, given.get("theme")) ?? "system",
    language: oneOf(languages, given.get("language")) ?? negotiated(acceptLanguage),
    zone: zone !== null && (zone === BROWSER_ZONE || isZone(zone)) ? zone : BROWSER_ZONE,
    times: oneOf(timesOptions, given.get("times")) ?? "absolute",
    here: here !== null && isZone(here) ? here : null,
  };
}

/** The cookie's value for them. */
export function preferencesText({ here, ...chosen }: Preferences): string {
  return new URLSearchParams({ ...chosen, ...(here === null ? {} : { here }) }).toString();
}

/** The zone in which times are shown; UTC until the browser has told its own. */
export function zoneOf({ zone, here }: Preferences): string {
  return zone === BROWSER_ZONE ? (here ?? "UTC") : zone;
}

function negotiated(acceptLanguage: string | null): Language {
  for (const part of (acceptLanguage ?? "").split(",")) {
    const tag = part.split(";")[0]?.trim().toLowerCase() ?? "";
    if (tag.startsWith("en")) return "en";
    if (tag.startsWith("zh")) return "zh-CN";
  }
  return "en";
}

function oneOf<Value extends string>(values: readonly Value[], given: string | null): Value | undefined {
  return values.find((value) => value === given);
}
