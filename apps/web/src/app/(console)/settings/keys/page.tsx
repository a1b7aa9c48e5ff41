import type { Metadata } from "next";
import { translator } from "@/console/messages.ts";
import { KeysView } from "@/views/settings-keys/keys-view.tsx";

export async function generateMetadata(): Promise<Metadata> {
  return { title: (await translator("keys"))("title") };
}

export default function Page() {
  return <KeysView />;
}
