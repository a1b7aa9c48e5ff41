// What of better-auth is open to the network. The rest of its routes (signing up, changing who one is) are not: operators are managed by
// acts on record.
import { authFor } from "@/server/auth.ts";
import { isForeign } from "@/server/same-site.ts";
import { PROVIDER } from "@/server/single-sign-on.ts";

export const dynamic = "force-dynamic";

const CALLBACK = `/callback/${PROVIDER}`;
const OPEN = { GET: [CALLBACK], POST: ["/sign-in/email", "/sign-out"] } as const;

async function answer(request: Request, open: readonly string[]): Promise<Response> {
  const path = new URL(request.url).pathname.slice("/api/auth".length);
  if (!open.includes(path)) return new Response("Not found.", { status: 404 });
  if (request.method !== "GET" && isForeign(request))
    return new Response("Cross-site requests are refused.", { status: 403 });
  const auth = await authFor(request.headers, { singleSignOn: path === CALLBACK });
  return await auth.handler(request);
}

export function GET(request: Request): Promise<Response> {
  return answer(request, OPEN.GET);
}

export function POST(request: Request): Promise<Response> {
  return answer(request, OPEN.POST);
}
