"use client";

// Hints for eyes. One layer shows them all, beside whatever is pointed at or focused and has one; its code comes with the first hint that is
// wanted. What a hint says must also be in the name or the description of its element.
import { cloneElement, lazy, type ReactElement, Suspense, useEffect, useState } from "react";

const DELAY_MS = 350;
/** Time to move the pointer onto the hint. */
const GONE_MS = 120;
const TIP = "data-tip";
const HINT = "data-hint";

/** Gives one element a hint. */
export function Tooltip({ text, children }: { text: string; children: ReactElement }) {
  return cloneElement(children as ReactElement<Record<string, unknown>>, { [TIP]: text });
}

const Popup = lazy(async () => ({ default: (await import("@/ui/tooltip-popup.tsx")).TooltipPopup }));

/** In the root layout, once. */
export function TooltipLayer() {
  const [of, setOf] = useState<Element | null>(null);
  useEffect(() => {
    const ending = new AbortController();
    const { signal } = ending;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = (element: Element | null, delayMs: number) => {
      clearTimeout(timer);
      timer = setTimeout(() => setOf(element), element === null ? GONE_MS : delayMs);
    };
    // A hint may be read with the pointer on it.
    const onHint = (event: Event) => event.target instanceof Element && event.target.closest(`[${HINT}]`) !== null;
    const tipped = (event: Event) => (event.target instanceof Element ? event.target.closest(`[${TIP}]`) : null);
    const point = (event: Event) => (onHint(event) ? clearTimeout(timer) : show(tipped(event), DELAY_MS));
    document.addEventListener("pointerover", point, { signal });
    document.addEventListener(
      "focusin",
      (event) =>
        show(event.target instanceof Element && event.target.matches(":focus-visible") ? tipped(event) : null, 0),
      { signal },
    );
    for (const end of ["focusout", "pointerdown", "scroll"] as const)
      document.addEventListener(end, () => show(null, 0), { signal, capture: true });
    document.addEventListener("keydown", ({ key }) => key === "Escape" && show(null, 0), { signal });
    return () => {
      clearTimeout(timer);
      ending.abort();
    };
  }, []);
  const text = of?.isConnected ? of.getAttribute(TIP) : null;
  if (of === null || text === null) return null;
  return (
    <Suspense fallback={null}>
      <Popup of={of} text={text} />
    </Suspense>
  );
}
