import type { Metadata } from "next";
import { translator } from "@/console/messages.ts";
import { OverviewView } from "@/views/overview/overview-view.tsx";

export async function generateMetadata(): Promise<Metadata> {
  return { title: (await translator("overview"))("title") };
}

export default function Page() {
  return <OverviewView />;
}
