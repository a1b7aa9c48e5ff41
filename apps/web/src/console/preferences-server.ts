import { cookies, headers } from "next/headers";
import { cache } from "react";
import { PREFERENCES_COOKIE, type Preferences, parsePreferences } from "@/console/preferences.ts";

/** Of the browser that asks. */
export const readPreferences = cache(async (): Promise<Preferences> => {
  const [kept, given] = await Promise.all([cookies(), headers()]);
  return parsePreferences(kept.get(PREFERENCES_COOKIE)?.value, given.get("accept-language"));
});

/** The moment of this request: the "now" of everything that is rendered for it. */
export const readServedAt = cache(async () => new Date());
