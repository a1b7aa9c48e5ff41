// The way to the identity provider. A link and no form: browsers hold a form's redirects to the policy of the page.
import { authFor } from "@/server/auth.ts";
import { readConfig } from "@/server/config.ts";
import { ownPath } from "@/server/own-path.ts";
import { ownOrigin } from "@/server/same-site.ts";
import { PROVIDER } from "@/server/single-sign-on.ts";

export const dynamic = "force-dynamic";

export async function GET(request: Request): Promise<Response> {
  const next = ownPath(new URL(request.url).searchParams.get("next") ?? undefined);
  const back = `/sign-in?next=${encodeURIComponent(next)}`;
  const origin = ownOrigin(request.headers);
  if (readConfig().singleSignOn === undefined) return Response.redirect(`${origin}${back}`, 307);
  try {
    const { api } = await authFor(request.headers, { singleSignOn: true });
    const started = await api.signInSocial({
      body: { provider: PROVIDER, callbackURL: next, errorCallbackURL: back },
      headers: request.headers,
      returnHeaders: true,
    });
    const { url } = started.response;
    if (url === undefined) throw new Error("the identity provider has no address");
    const headers = new Headers(started.headers);
    headers.set("location", url);
    headers.set("cache-control", "no-store");
    return new Response(null, { status: 302, headers });
  } catch (error) {
    console.error("single sign-on", error);
    return Response.redirect(`${origin}${back}&error=unreachable`, 307);
  }
}
