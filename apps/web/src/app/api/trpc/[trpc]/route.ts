import { fetchRequestHandler } from "@trpc/server/adapters/fetch";
import { appRouter } from "@/server/root.ts";
import { isForeign } from "@/server/same-site.ts";
import { createContext } from "@/server/trpc.ts";

export const dynamic = "force-dynamic";

function answer(request: Request): Promise<Response> | Response {
  if (isForeign(request)) return new Response("Cross-site requests are refused.", { status: 403 });
  return fetchRequestHandler({
    endpoint: "/api/trpc",
    req: request,
    router: appRouter,
    createContext: () => createContext({ headers: request.headers }),
    onError: ({ error, path }) => {
      // Expected answers (refused, not signed in, a store that is away) are no faults of ours.
      if (error.code === "INTERNAL_SERVER_ERROR") console.error(path, error.cause ?? error);
    },
  });
}

export { answer as GET, answer as POST };
