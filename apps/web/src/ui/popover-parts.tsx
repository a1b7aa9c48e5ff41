"use client";

import { Popover as Base } from "@base-ui/react/popover";
import { clsx } from "clsx";
import type { ReactElement, ReactNode } from "react";

export type PopoverProps = {
  trigger: ReactElement;
  /** Its name; drawn above the content unless hideTitle. */
  title: ReactNode;
  hideTitle?: boolean | undefined;
  align?: "start" | "center" | "end" | undefined;
  open?: boolean | undefined;
  onOpenChange?: ((open: boolean) => void) | undefined;
  children: ReactNode;
};

/** A small panel beside what opened it. */
export function Popover({ trigger, title, hideTitle, align = "start", open, onOpenChange, children }: PopoverProps) {
  return (
    <Base.Root
      {...(open === undefined ? {} : { open })}
      {...(onOpenChange === undefined ? {} : { onOpenChange: (next: boolean) => onOpenChange(next) })}
    >
      <Base.Trigger render={trigger} />
      <Base.Portal>
        <Base.Positioner sideOffset={4} align={align} collisionPadding={8} className="z-50">
          <Base.Popup className="popup max-h-(--available-height) max-w-[min(28rem,calc(100vw-1rem))] overflow-y-auto p-3">
            <Base.Title className={clsx(hideTitle ? "sr-only" : "mb-2 font-semibold")}>{title}</Base.Title>
            {children}
          </Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.Root>
  );
}
