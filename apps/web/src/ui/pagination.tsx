"use client";

import { ChevronLeft, ChevronRight, ChevronsLeft } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslations } from "use-intl";
import { Button } from "@/ui/button.tsx";

export type PaginationProps = {
  /** undefined: there is none, the button rests. */
  onFirst?: (() => void) | undefined;
  onPrevious?: (() => void) | undefined;
  onNext?: (() => void) | undefined;
  busy?: boolean | undefined;
  /** "Rows 51–100", "more than 10,000 match". */
  children?: ReactNode;
};

/** Ways to the pages beside this one: keyset paging has no page numbers. */
export function Pagination({ onFirst, onPrevious, onNext, busy, children }: PaginationProps) {
  const t = useTranslations("ui");
  const turn = (go: (() => void) | undefined) => ({
    disabled: go === undefined || busy === true,
    onClick: () => go?.(),
  });
  return (
    <nav aria-label={t("pagination.label")} className="flex flex-wrap items-center justify-between gap-2 px-3 py-2">
      <div className="text-xs text-quiet tabular-nums">{children}</div>
      <div className="flex gap-1.5">
        <Button size="small" icon={<ChevronsLeft aria-hidden className="size-4" />} {...turn(onFirst)}>
          {t("pagination.first")}
        </Button>
        <Button size="small" icon={<ChevronLeft aria-hidden className="size-4" />} {...turn(onPrevious)}>
          {t("pagination.previous")}
        </Button>
        <Button size="small" {...turn(onNext)}>
          {t("pagination.next")}
          <ChevronRight aria-hidden className="size-4" />
        </Button>
      </div>
    </nav>
  );
}
