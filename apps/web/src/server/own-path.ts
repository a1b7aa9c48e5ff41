// Where to go after the sign-in. It comes in an address that anybody can write.

/** The path, if it is one of this site; else the first page. */
export function ownPath(asked: string | undefined): string {
  if (asked === undefined || !asked.startsWith("/")) return "/";
  const here = "http://here.invalid";
  const url = URL.parse(asked, here);
  // `//elsewhere` and `/\elsewhere` are addresses of other sites, and `/.//elsewhere` becomes one.
  if (url === null || url.origin !== here || url.pathname.startsWith("//") || url.pathname === "/sign-in") return "/";
  return url.pathname + url.search + url.hash;
}
