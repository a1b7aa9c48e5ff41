import type { Metadata } from "next";
import { translator } from "@/console/messages.ts";
import { StreamsView } from "@/views/streams/streams-view.tsx";

export async function generateMetadata(): Promise<Metadata> {
  return { title: (await translator("streams"))("title") };
}

export default function Page() {
  return <StreamsView />;
}
