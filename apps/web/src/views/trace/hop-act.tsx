"use client";

// What can be done about a deduction that stopped on its way, at the hop where it did.
import { useTranslations } from "use-intl";
import { useReasonAgainst } from "@/console/operator.tsx";
import type { ReplayChoice } from "@/server/replays-router.ts";
import type { Traced } from "@/server/trace-router.ts";
import { Button, ButtonLink } from "@/ui/button.tsx";
import { entryNameOf, storyOf } from "@/views/trace/trace-story.ts";

type Props = { traced: Traced; onReplay: (choice: ReplayChoice) => void };

export function HopAct({ traced, onReplay }: Props) {
  const t = useTranslations("trace");
  const reason = useReasonAgainst("support");
  const letter = traced.deadLetter?.["id"];
  const entry = entryNameOf(traced);
  const replay = (name: string | undefined, label: string, against?: string) =>
    name !== undefined && (
      <Button
        className="mt-2"
        size="small"
        look="primary"
        reason={reason ?? against}
        onClick={() => onReplay({ kind: "named", ids: [name] })}
      >
        {label}
      </Button>
    );
  switch (storyOf(traced)) {
    case "dead_lettered":
      return replay(typeof letter === "string" ? letter : undefined, t("replay"));
    case "pending":
      return replay(entry, t("reprocess"), isHeldByLive(traced) ? t("heldByLive") : undefined);
    case "unaccounted":
    case "half_settled":
      return replay(entry, t("replay"));
    case "discarded":
    case "too_old":
      return (
        <ButtonLink className="mt-2" size="small" href={`/dead-letters?id=${encodeURIComponent(String(letter))}`}>
          {t("toLetter")}
        </ButtonLink>
      );
    case "in_flight":
      return (
        <ButtonLink className="mt-2" size="small" href="/streams">
          {t("toStreams")}
        </ButtonLink>
      );
    case "uncaptured":
      return (
        <ButtonLink className="mt-2" size="small" href="/alerts">
          {t("toAlerts")}
        </ButtonLink>
      );
    default:
      return null;
  }
}

function isHeldByLive({ hops }: Traced): boolean {
  return hops.find(({ name }) => name === "Delivery")?.detail["live"] === true;
}
