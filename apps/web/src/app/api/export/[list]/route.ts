import { exportOf } from "@/server/export-lists.ts";
import { type ExportFormat, heading, render } from "@/server/exports.ts";
import { isForeign } from "@/server/same-site.ts";
import { readOperator } from "@/server/session.ts";
import { db } from "@/server/stores.ts";

export const dynamic = "force-dynamic";

const types: Record<ExportFormat, string> = { csv: "text/csv; charset=utf-8", jsonl: "application/x-ndjson" };

/** Streams a list's filtered set. A failure in the middle cuts the download off, so that no half is taken for the whole. */
export async function GET(request: Request, { params }: RouteContext<"/api/export/[list]">): Promise<Response> {
  if (isForeign(request)) return new Response("Cross-site requests are refused.", { status: 403 });
  const operator = await readOperator(request.headers);
  if (operator === undefined) return new Response("Sign in first.", { status: 401 });
  const { list } = await params;
  const found = exportOf(list);
  const filters = new URL(request.url).searchParams;
  const format = filters.get("format") === "jsonl" ? "jsonl" : "csv";
  if (found === undefined) return new Response("There is no such list.", { status: 404 });
  const pages = found.rows({ db: db(), operator, filters, signal: request.signal })[Symbol.asyncIterator]();
  const text = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    start: (out) => out.enqueue(text.encode(heading(format, found.columns))),
    pull: async (out) => {
      const { done, value } = await pages.next();
      if (done) out.close();
      else out.enqueue(text.encode(render(format, found.columns, value)));
    },
    cancel: async () => {
      await pages.return?.();
    },
  });
  const name = `${list}-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.${format}`;
  return new Response(body, {
    headers: {
      "content-type": types[format],
      "content-disposition": `attachment; filename="${name}"`,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    },
  });
}
