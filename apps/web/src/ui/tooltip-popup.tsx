"use client";

import { Tooltip as Base } from "@base-ui/react/tooltip";

/** A hint beside an element. */
export function TooltipPopup({ of, text }: { of: Element; text: string }) {
  return (
    <Base.Root open>
      <Base.Portal>
        <Base.Positioner anchor={of} sideOffset={6} className="z-50">
          <Base.Popup data-hint="" className="popup max-w-72 px-2 py-1 text-xs wrap-anywhere">
            {text}
          </Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.Root>
  );
}
