"use client";

// One button for every act. One that may not be pressed says why: it stays reachable, and its reason is both its tooltip and its
// description.
import { clsx } from "clsx";
import { LoaderCircle } from "lucide-react";
import Link from "next/link";
import { type ComponentProps, type MouseEvent, type ReactNode, useId } from "react";
import { Tooltip } from "@/ui/tooltip.tsx";

export type ButtonLook = "primary" | "secondary" | "ghost" | "danger";

type Look = { look?: ButtonLook | undefined; size?: "small" | "medium" | undefined };

const looks: Record<ButtonLook, string> = {
  primary: "border-transparent bg-accent text-on-accent not-data-disabled:hover:bg-accent-strong",
  secondary: "border-line-mid bg-surface text-ink not-data-disabled:hover:bg-hover data-popup-open:bg-hover",
  ghost:
    "border-transparent text-quiet not-data-disabled:hover:bg-hover not-data-disabled:hover:text-ink data-popup-open:bg-hover",
  danger: "border-transparent bg-danger text-on-danger not-data-disabled:hover:bg-danger-strong",
};

export function buttonClass({ look = "secondary", size = "medium" }: Look): string {
  return clsx(
    "inline-flex shrink-0 items-center justify-center gap-1.5 rounded-md border font-medium whitespace-nowrap transition-colors select-none",
    "data-disabled:cursor-not-allowed data-disabled:border-line data-disabled:bg-sunken data-disabled:text-faint",
    size === "small" ? "min-h-7 px-2 text-xs" : "min-h-8 px-3 text-sm",
    looks[look],
  );
}

export type ButtonProps = Omit<ComponentProps<"button">, "className" | "disabled" | "style"> &
  Look & {
    icon?: ReactNode;
    /** Why it may not be pressed now; given, it is not pressed. */
    reason?: string | undefined;
    disabled?: boolean | undefined;
    /** Its act is under way: pressing again does nothing. */
    busy?: boolean | undefined;
    className?: string | undefined;
  };

export function Button({ look, size, icon, reason, disabled, busy, className, children, ...rest }: ButtonProps) {
  const reasonId = useId();
  const held = disabled === true || busy === true || reason !== undefined;
  const stays = reason !== undefined || busy === true;
  const button = (
    <button
      type="button"
      {...rest}
      {...(held ? { "data-disabled": "" } : {})}
      // One that says why, or that is at work, keeps the focus: it only does nothing.
      {...(stays ? { "aria-disabled": true, onClick: doNothing } : { disabled: held })}
      aria-busy={busy || undefined}
      aria-describedby={reason === undefined ? rest["aria-describedby"] : reasonId}
      className={clsx(buttonClass({ look, size }), className)}
    >
      {busy ? <LoaderCircle aria-hidden className="size-4 animate-spin" /> : icon}
      {children}
    </button>
  );
  if (reason === undefined) return button;
  return (
    <>
      <Tooltip text={reason}>{button}</Tooltip>
      <span id={reasonId} hidden>
        {reason}
      </span>
    </>
  );
}

function doNothing(event: MouseEvent): void {
  event.preventDefault();
}

export type IconButtonProps = Omit<ButtonProps, "icon" | "children" | "aria-label"> & {
  /** Its name, also its tooltip. */
  label: string;
  icon: ReactNode;
};

export function IconButton({ label, icon, look = "ghost", size, reason, className, ...rest }: IconButtonProps) {
  const button = (
    <Button
      {...rest}
      aria-label={label}
      look={look}
      size={size}
      reason={reason}
      icon={icon}
      className={clsx(size === "small" ? "w-7 px-0!" : "w-8 px-0!", className)}
    />
  );
  return reason === undefined ? <Tooltip text={label}>{button}</Tooltip> : button;
}

export type ButtonLinkProps = ComponentProps<typeof Link> & Look & { icon?: ReactNode };

/** Goes somewhere, and looks like a button. */
export function ButtonLink({ look, size, icon, className, children, ...rest }: ButtonLinkProps) {
  return (
    <Link {...rest} className={clsx(buttonClass({ look, size }), className)}>
      {icon}
      {children}
    </Link>
  );
}
