import type { Metadata } from "next";
import { translator } from "@/console/messages.ts";
import { PricesView } from "@/views/settings-prices/prices-view.tsx";

export async function generateMetadata(): Promise<Metadata> {
  return { title: (await translator("prices"))("title") };
}

export default function Page() {
  return <PricesView />;
}
