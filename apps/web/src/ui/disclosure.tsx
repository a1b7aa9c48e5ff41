"use client";

import { ChevronRight } from "lucide-react";
import { type ReactNode, useState } from "react";

export type DisclosureProps = {
  label: ReactNode;
  open?: boolean | undefined;
  onOpenChange?: ((open: boolean) => void) | undefined;
  startsOpen?: boolean | undefined;
  children: ReactNode;
};

/** More, for who asks for it. Not mounted until then. */
export function Disclosure({ label, open, onOpenChange, startsOpen = false, children }: DisclosureProps) {
  const [openHere, setOpenHere] = useState(startsOpen);
  const shown = open ?? openHere;
  return (
    <details
      open={shown}
      className="group"
      onToggle={({ currentTarget }) => {
        if (currentTarget.open === shown) return;
        setOpenHere(currentTarget.open);
        onOpenChange?.(currentTarget.open);
      }}
    >
      <summary className="inline-flex min-h-6 list-none items-center gap-1 text-xs font-medium text-quiet hover:text-ink [&::-webkit-details-marker]:hidden">
        <ChevronRight aria-hidden className="size-3.5 transition-transform group-open:rotate-90" />
        {label}
      </summary>
      {shown && <div className="pt-2">{children}</div>}
    </details>
  );
}
