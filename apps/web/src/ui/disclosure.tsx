"use client";

import { Collapsible } from "@base-ui/react/collapsible";
import { ChevronRight } from "lucide-react";
import type { ReactNode } from "react";

export type DisclosureProps = {
  label: ReactNode;
  open?: boolean | undefined;
  onOpenChange?: ((open: boolean) => void) | undefined;
  startsOpen?: boolean | undefined;
  children: ReactNode;
};

/** More, for who asks for it. Not mounted until then. */
export function Disclosure({ label, open, onOpenChange, startsOpen = false, children }: DisclosureProps) {
  return (
    <Collapsible.Root
      defaultOpen={startsOpen}
      {...(open === undefined ? {} : { open })}
      {...(onOpenChange === undefined ? {} : { onOpenChange: (next: boolean) => onOpenChange(next) })}
    >
      <Collapsible.Trigger className="group inline-flex min-h-6 items-center gap-1 text-xs font-medium text-quiet hover:text-ink">
        <ChevronRight aria-hidden className="size-3.5 transition-transform group-data-panel-open:rotate-90" />
        {label}
      </Collapsible.Trigger>
      <Collapsible.Panel className="pt-2">{children}</Collapsible.Panel>
    </Collapsible.Root>
  );
}
