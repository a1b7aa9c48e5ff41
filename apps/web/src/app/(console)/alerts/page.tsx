import type { Metadata } from "next";
import { translator } from "@/console/messages.ts";
import { AlertsView } from "@/views/alerts/alerts-view.tsx";

export async function generateMetadata(): Promise<Metadata> {
  return { title: (await translator("alerts"))("title") };
}

export default function Page() {
  return <AlertsView />;
}
