"use client";

import { PageFailed } from "@/console/page-failed.tsx";

export default function ConsoleError({ error, retry }: { error: Error & { digest?: string }; retry: () => void }) {
  return <PageFailed digest={error.digest} retry={retry} />;
}
