"use client";

// What opens when it is asked for needs no code before: it is fetched when its trigger is pointed at or focused, and mounted when it is
// first opened. So a page's first load has none of its menus, popovers and dialogs.
import { type ComponentType, cloneElement, lazy, type ReactElement, Suspense, useState } from "react";

type Opened = {
  trigger?: ReactElement | undefined;
  open?: boolean | undefined;
  onOpenChange?: ((open: boolean) => void) | undefined;
};

/** `popup` is what its trigger announces. */
export function openedOnDemand<Props extends Opened>(
  load: () => Promise<ComponentType<Props>>,
  popup: "menu" | "dialog",
): ComponentType<Props> {
  const Real = lazy(async () => ({ default: await load() }));
  return function OnDemand(props: Props) {
    const { trigger, open, onOpenChange } = props;
    const [wanted, setWanted] = useState(false);
    const [openHere, setOpenHere] = useState(false);
    const change = (next: boolean) => {
      setWanted(true);
      setOpenHere(next);
      onOpenChange?.(next);
    };
    const fetch = () => void load().catch(() => {}); // pressed, it is tried again
    const shut =
      trigger &&
      cloneElement(trigger as ReactElement<Record<string, unknown>>, {
        onClick: () => change(true),
        onPointerEnter: fetch,
        onFocus: fetch,
        "aria-haspopup": popup,
        "aria-expanded": false,
      });
    if (open === true && !wanted) setWanted(true);
    if (!wanted) return shut ?? null;
    return (
      <Suspense fallback={shut ?? null}>
        <Real {...(props as Props & object)} open={open ?? openHere} onOpenChange={change} />
      </Suspense>
    );
  };
}

/** A part of what is opened: there when that is. */
export function part<Component>(load: () => Promise<Component>): Component {
  // `lazy` forgets what a generic component takes.
  return lazy(async () => ({ default: (await load()) as ComponentType })) as Component;
}
