// The name by which browsers reach this process, and requests that another site makes a browser send. The session's cookie is not sent along with them, and they are refused all the same.

import { readConfig } from "@/server/config.ts";

/** Whether a page of another origin sent this. Programs that are no browser send neither header, and have no cookie to abuse. */
export function isForeign(request: Request): boolean {
  const site = request.headers.get("sec-fetch-site");
  if (site !== null && site !== "same-origin" && site !== "none") return true;
  const origin = request.headers.get("origin");
  if (origin === null) return false;
  return URL.parse(origin)?.host !== URL.parse(ownOrigin(request.headers))?.host;
}

/** Scheme, host and port as the browser knows them: CONSOLE_URL, else what a proxy in front says, else what was asked for. */
export function ownOrigin(headers: Headers): string {
  const { consoleUrl } = readConfig();
  if (consoleUrl !== undefined) return consoleUrl;
  // Next adds both where no proxy did.
  const host = headers.get("x-forwarded-host") ?? headers.get("host") ?? "";
  const scheme = headers.get("x-forwarded-proto") === "https" ? "https" : "http";
  return URL.parse(`${scheme}://${host}`)?.origin ?? "http://invalid";
}
