// Before every page: the headers that keep other sites out of it, and the way to the sign-in page for who has no session. Whether a
// session is good is decided by the pages' layout and by each procedure; here only its cookie is looked for.
import { type NextRequest, NextResponse } from "next/server";

const SESSION_COOKIE = /(^|__Secure-)drawdown\.session_token$/;
const OPEN = new Set(["/sign-in"]);

export function proxy(request: NextRequest): NextResponse {
  const { pathname, search } = request.nextUrl;
  if (!OPEN.has(pathname) && !request.cookies.getAll().some(({ name }) => SESSION_COOKIE.test(name))) {
    const next = pathname === "/" ? "" : `?next=${encodeURIComponent(pathname + search)}`;
    // By the name that the browser used: another one (localhost for 127.0.0.1) would not have its cookies.
    const here = `${request.nextUrl.protocol}//${request.headers.get("host") ?? request.nextUrl.host}`;
    return guard(NextResponse.redirect(new URL(`/sign-in${next}`, here), 307), policy(""));
  }
  const nonce = btoa(crypto.randomUUID());
  const headers = new Headers(request.headers);
  headers.set("x-nonce", nonce);
  headers.set("x-address", pathname + search);
  headers.set("content-security-policy", policy(nonce));
  return guard(NextResponse.next({ request: { headers } }), policy(nonce));
}

function policy(nonce: string): string {
  const trusted = nonce === "" ? "" : ` 'nonce-${nonce}' 'strict-dynamic'`;
  return [
    "default-src 'self'",
    `script-src 'self'${trusted}`,
    // Positions of pop-ups and rows are style attributes; a style sheet from elsewhere stays out.
    "style-src 'self'",
    `style-src-elem 'self'${nonce === "" ? "" : ` 'nonce-${nonce}'`}`,
    "style-src-attr 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join("; ");
}

function guard(response: NextResponse, contentPolicy: string): NextResponse {
  response.headers.set("content-security-policy", contentPolicy);
  response.headers.set("x-frame-options", "DENY");
  response.headers.set("x-content-type-options", "nosniff");
  response.headers.set("referrer-policy", "same-origin");
  response.headers.set("permissions-policy", "camera=(), geolocation=(), microphone=()");
  response.headers.set("cross-origin-opener-policy", "same-origin");
  response.headers.set("cache-control", "private, no-store");
  return response;
}

export const config = { matcher: ["/((?!api/|_next/static|_next/image|icon.svg|favicon.ico).*)"] };
