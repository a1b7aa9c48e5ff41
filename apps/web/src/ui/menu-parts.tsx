"use client";

import { Menu as Base } from "@base-ui/react/menu";
import { clsx } from "clsx";
import type { ReactElement, ReactNode } from "react";

export type MenuProps = {
  /** The button that opens it. */
  trigger: ReactElement;
  align?: "start" | "center" | "end" | undefined;
  open?: boolean | undefined;
  onOpenChange?: ((open: boolean) => void) | undefined;
  children: ReactNode;
};

/** Acts and ways to go; its children are MenuItem and MenuSeparator. */
export function Menu({ trigger, align = "end", open, onOpenChange, children }: MenuProps) {
  return (
    <Base.Root
      {...(open === undefined ? {} : { open })}
      {...(onOpenChange === undefined ? {} : { onOpenChange: (next: boolean) => onOpenChange(next) })}
    >
      <Base.Trigger render={trigger} />
      <Base.Portal>
        <Base.Positioner sideOffset={4} align={align} className="z-50">
          <Base.Popup className="popup max-h-(--available-height) max-w-[calc(100vw-1rem)] min-w-44 overflow-y-auto p-1">
            {children}
          </Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.Root>
  );
}

export type MenuItemProps = {
  icon?: ReactNode;
  onSelect: () => void;
  danger?: boolean | undefined;
  /** Why it may not be chosen now. */
  reason?: string | undefined;
  children: ReactNode;
};

export function MenuItem({ icon, onSelect, danger, reason, children }: MenuItemProps) {
  return (
    <Base.Item
      onClick={onSelect}
      disabled={reason !== undefined}
      className={clsx("popup-item", danger && reason === undefined && "text-critical")}
    >
      <Icon>{icon}</Icon>
      <span className="min-w-0">
        {children}
        {reason === undefined ? null : <span className="block text-xs">{reason}</span>}
      </span>
    </Base.Item>
  );
}

export function MenuSeparator() {
  return <Base.Separator className="-mx-1 my-1 h-px bg-line" />;
}

function Icon({ children }: { children: ReactNode }) {
  if (children === undefined) return null;
  return (
    <span aria-hidden className="shrink-0 text-faint [&>svg]:size-4">
      {children}
    </span>
  );
}
