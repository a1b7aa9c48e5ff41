"use client";

// Dialogs and sheets. Each has a title, a way to close it, and room for a long text at 320 px: the body scrolls, head and foot stay.
import { Dialog as Base } from "@base-ui/react/dialog";
import { clsx } from "clsx";
import { X } from "lucide-react";
import type { ReactElement, ReactNode, RefObject } from "react";
import { useTranslations } from "use-intl";
import { buttonClass } from "@/ui/button.tsx";

type Opening = {
  /** Given with onOpenChange, or a trigger instead of both. */
  open?: boolean | undefined;
  onOpenChange?: ((open: boolean) => void) | undefined;
  /** A button that opens it. */
  trigger?: ReactElement | undefined;
};

export type DialogProps = Opening & {
  title: ReactNode;
  description?: ReactNode;
  /** Buttons, the main one last. */
  footer?: ReactNode;
  size?: "small" | "medium" | "large" | undefined;
  /** What has the focus when it opens; else the first control. */
  initialFocus?: RefObject<HTMLElement | null> | undefined;
  children?: ReactNode;
};

const widths = { small: "max-w-md", medium: "max-w-xl", large: "max-w-4xl" };

const PANEL =
  "fixed top-1/2 left-1/2 z-40 flex max-h-[calc(100dvh-2rem)] w-[calc(100vw-1.5rem)] -translate-x-1/2 -translate-y-1/2 flex-col popup";

export function Dialog(props: DialogProps) {
  const { open, onOpenChange, trigger, title, description, footer, size = "medium", initialFocus, children } = props;
  return (
    <Base.Root {...opening(open, onOpenChange)}>
      {trigger === undefined ? null : <Base.Trigger render={trigger} />}
      <Base.Portal>
        <Base.Backdrop className="backdrop z-40" />
        <Base.Popup className={clsx(PANEL, widths[size])} {...(initialFocus === undefined ? {} : { initialFocus })}>
          <Head title={title} description={description} />
          {children === undefined ? null : <div className="min-h-0 flex-1 overflow-y-auto px-4 py-3">{children}</div>}
          <Foot>{footer}</Foot>
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}

function Head({ title, description }: { title: ReactNode; description: ReactNode }) {
  const t = useTranslations("ui");
  return (
    <div className="flex items-start gap-3 border-b border-line px-4 py-3">
      <div className="min-w-0 flex-1">
        <Base.Title className="text-base font-semibold wrap-anywhere">{title}</Base.Title>
        {description === undefined ? null : (
          <Base.Description className="mt-0.5 text-quiet wrap-anywhere">{description}</Base.Description>
        )}
      </div>
      <Base.Close aria-label={t("close")} className={clsx(buttonClass({ look: "ghost", size: "small" }), "w-7 px-0!")}>
        <X aria-hidden className="size-4" />
      </Base.Close>
    </div>
  );
}

function Foot({ children }: { children: ReactNode }) {
  if (children === undefined || children === null) return null;
  return <div className="flex flex-wrap justify-end gap-2 border-t border-line px-4 py-3">{children}</div>;
}

export type SheetProps = Omit<DialogProps, "size"> & { side?: "left" | "right" | undefined };

/** A panel from the edge: the menu of a narrow page, a row's details. */
export function Sheet(props: SheetProps) {
  const { open, onOpenChange, trigger, title, description, footer, side = "right", initialFocus, children } = props;
  return (
    <Base.Root {...opening(open, onOpenChange)}>
      {trigger === undefined ? null : <Base.Trigger render={trigger} />}
      <Base.Portal>
        <Base.Backdrop className="backdrop z-40" />
        <Base.Popup
          {...(initialFocus === undefined ? {} : { initialFocus })}
          className={clsx(
            "fixed inset-y-0 z-40 flex w-full flex-col bg-raised shadow-popup transition-transform duration-200 ease-out",
            side === "left"
              ? "left-0 max-w-[min(20rem,calc(100vw-2rem))] border-r border-line data-ending-style:-translate-x-full data-starting-style:-translate-x-full"
              : "right-0 max-w-2xl border-l border-line data-ending-style:translate-x-full data-starting-style:translate-x-full",
          )}
        >
          <Head title={title} description={description} />
          <div className="min-h-0 flex-1 overflow-y-auto px-4 py-3">{children}</div>
          <Foot>{footer}</Foot>
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}

function opening(open: boolean | undefined, onOpenChange: ((open: boolean) => void) | undefined) {
  return {
    ...(open === undefined ? {} : { open }),
    ...(onOpenChange === undefined ? {} : { onOpenChange: (next: boolean) => onOpenChange(next) }),
  };
}
