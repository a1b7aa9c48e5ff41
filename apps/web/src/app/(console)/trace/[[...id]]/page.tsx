import type { Metadata } from "next";
import { translator } from "@/console/messages.ts";
import { PageTitle } from "@/console/page-title.tsx";
import { TraceSearch } from "@/views/trace/trace-search.tsx";
import { TraceView } from "@/views/trace/trace-view.tsx";

type Props = PageProps<"/trace/[[...id]]">;

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  const title = (await translator("trace"))("title");
  const id = idOf((await params).id);
  return { title: id === undefined ? title : `${title} ${id.slice(0, 100)}` };
}

export default async function Page({ params }: Props) {
  const t = await translator("trace");
  const id = idOf((await params).id);
  if (id !== undefined) return <TraceView id={id} />;
  return (
    <>
      <PageTitle note={t("note")}>{t("title")}</PageTitle>
      <TraceSearch />
    </>
  );
}

/** An id may hold slashes, encoded or not. */
function idOf(segments: string[] | undefined): string | undefined {
  return segments?.map(decoded).join("/");
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
