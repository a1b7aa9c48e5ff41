import { exportOf } from "@/server/export-lists.ts";
import { type ExportFormat, type ExportRow, heading, PIECE_ROWS, render } from "@/server/exports.ts";
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
  if (found === undefined) return new Response("There is no such list.", { status: 404 });
  const { format: wanted, order, pin, ...filters } = Object.fromEntries(new URL(request.url).searchParams);
  const format = wanted === "jsonl" ? "jsonl" : "csv";
  const page = {
    order: order === "oldest" ? ("oldest" as const) : ("newest" as const),
    ...(pin === undefined ? {} : { pin }),
  };
  const rows = found.rows({ db: db(), operator, filters, page })[Symbol.asyncIterator]();
  const text = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    start: (out) => out.enqueue(text.encode(heading(format, found.columns))),
    pull: async (out) => {
      const piece = await takePiece(rows);
      if (piece.length > 0) out.enqueue(text.encode(render(format, found.columns, piece)));
      if (piece.length < PIECE_ROWS) out.close();
    },
    cancel: async () => {
      await rows.return?.();
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

async function takePiece(rows: AsyncIterator<ExportRow>): Promise<ExportRow[]> {
  const piece: ExportRow[] = [];
  while (piece.length < PIECE_ROWS) {
    const { done, value } = await rows.next();
    if (done) break;
    piece.push(value);
  }
  return piece;
}
