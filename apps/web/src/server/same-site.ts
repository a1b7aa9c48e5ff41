// Requests that another site makes a browser send. The session's cookie is not sent along with them, and they are refused all the same.

/** Whether a page of another origin sent this. Programs that are no browser send neither header, and have no cookie to abuse. */
export function isForeign(request: Request): boolean {
  const site = request.headers.get("sec-fetch-site");
  if (site !== null && site !== "same-origin" && site !== "none") return true;
  const origin = request.headers.get("origin");
  if (origin === null) return false;
  return URL.parse(origin)?.host !== request.headers.get("host");
}
