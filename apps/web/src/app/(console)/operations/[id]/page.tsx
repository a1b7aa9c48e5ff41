import type { Metadata } from "next";
import { translator } from "@/console/messages.ts";
import { OperationView } from "@/views/operations/operation-view.tsx";

export async function generateMetadata(): Promise<Metadata> {
  return { title: (await translator("operations"))("one") };
}

export default async function Page({ params }: PageProps<"/operations/[id]">) {
  return <OperationView id={decodeURIComponent((await params).id)} />;
}
