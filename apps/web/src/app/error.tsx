"use client";

import { PageFailed } from "@/console/page-failed.tsx";

/** Outside of the console's frame: the sign-in, or the frame itself. */
export default function RootError({ error, retry }: { error: Error & { digest?: string }; retry: () => void }) {
  return (
    <main className="mx-auto max-w-2xl p-4 pt-16">
      <PageFailed digest={error.digest} retry={retry} />
    </main>
  );
}
