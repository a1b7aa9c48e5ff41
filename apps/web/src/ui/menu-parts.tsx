"use client";

import { Menu as Base } from "@base-ui/react/menu";
import { clsx } from "clsx";
import { Check } from "lucide-react";
import Link from "next/link";
import type { ReactElement, ReactNode } from "react";
import type { Option } from "@/ui/select.tsx";

export type MenuProps = {
  /** The button that opens it. */
  trigger: ReactElement;
  align?: "start" | "center" | "end" | undefined;
  open?: boolean | undefined;
  onOpenChange?: ((open: boolean) => void) | undefined;
  children: ReactNode;
};

/** Acts and ways to go; its children are MenuItem, MenuLink, MenuChoice, MenuHeading, MenuSeparator. */
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

export function MenuLink({ icon, href, children }: { icon?: ReactNode; href: string; children: ReactNode }) {
  return (
    <Base.LinkItem closeOnClick render={<Link href={href} />} className="popup-item">
      <Icon>{icon}</Icon>
      {children}
    </Base.LinkItem>
  );
}

export type MenuChoiceProps<Value extends string> = {
  label: ReactNode;
  options: readonly Option<Value>[];
  value: Value;
  onChange: (value: Value) => void;
};

/** One of a few, chosen within the menu. */
export function MenuChoice<Value extends string>({ label, options, value, onChange }: MenuChoiceProps<Value>) {
  return (
    <Base.Group>
      <Base.GroupLabel className="px-2.5 pt-1.5 pb-0.5 text-xs text-faint">{label}</Base.GroupLabel>
      <Base.RadioGroup value={value} onValueChange={(next: Value) => onChange(next)}>
        {options.map((option) => (
          <Base.RadioItem key={option.value} value={option.value} className="popup-item">
            <Check aria-hidden className={clsx("size-4 shrink-0", option.value !== value && "invisible")} />
            {option.label}
          </Base.RadioItem>
        ))}
      </Base.RadioGroup>
    </Base.Group>
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
