"use client";

// What stands in the place of a page that failed while it was rendered. It asks again by itself: what failed is most often a store that
// was away.
import { useRouter } from "next/navigation";
import { useEffect, useTransition } from "react";
import { useTranslations } from "use-intl";
import { PageTitle } from "@/console/page-title.tsx";
import { Button, ButtonLink } from "@/ui/button.tsx";
import { ErrorState } from "@/ui/states.tsx";

const AGAIN_MS = 5_000;

/** Asks for the page again, when told and every few seconds. */
function useAgain(ask: () => void): { again: () => void; busy: boolean } {
  const [busy, start] = useTransition();
  const again = () => start(ask);
  useEffect(() => {
    const timer = setInterval(again, AGAIN_MS);
    return () => clearInterval(timer);
  });
  return { again, busy };
}

export function PageFailed({ digest, retry }: { digest: string | undefined; retry: () => void }) {
  const t = useTranslations("shell.failed");
  const { again, busy } = useAgain(retry);
  return (
    <>
      <PageTitle>{t("title")}</PageTitle>
      <ErrorState
        title={t("help", { digest: digest ?? t("noNumber") })}
        actions={
          <>
            <Button look="primary" busy={busy} onClick={again}>
              {t("again")}
            </Button>
            <ButtonLink href="/">{t("home")}</ButtonLink>
          </>
        }
      />
    </>
  );
}

/** In the place of the whole console: who is signed in stands in the books, and they are away. */
export function BooksAway() {
  const t = useTranslations("faults.postgres");
  const router = useRouter();
  const { again, busy } = useAgain(() => router.refresh());
  const failed = useTranslations("shell.failed");
  return (
    <main className="mx-auto flex min-h-dvh max-w-2xl flex-col justify-center p-4">
      <h1 className="sr-only">{t("title")}</h1>
      <ErrorState
        store="Postgres"
        title={t("title")}
        actions={
          <Button look="primary" busy={busy} onClick={again}>
            {failed("again")}
          </Button>
        }
      >
        {t("help")}
      </ErrorState>
    </main>
  );
}
