"use client";

// The one region of toasts, mounted with the first (toast.tsx).
import { Toast } from "@base-ui/react/toast";
import { clsx } from "clsx";
import { CircleAlert, CircleCheck, Info, TriangleAlert, X } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import { useTranslations } from "use-intl";
import { buttonClass } from "@/ui/button.tsx";
import { listenToToasts, type ToastText } from "@/ui/toast.tsx";

const STAYS_MS = 6_000;

type ToastTone = NonNullable<ToastText["tone"]>;

function addTo(toasts: ReturnType<typeof createManager>, { title, description, tone = "ok", action }: ToastText): void {
  toasts.add({
    title,
    description,
    data: { tone },
    priority: tone === "critical" ? "high" : "low",
    timeout: tone === "critical" ? 0 : STAYS_MS,
    ...(action === undefined ? {} : { actionProps: { children: action.label, onClick: action.onSelect } }),
  });
}

const createManager = () => Toast.createToastManager<{ tone: ToastTone }>();

export function ToastList() {
  const [toasts] = useState(createManager);
  useEffect(() => listenToToasts((text) => addTo(toasts, text)), [toasts]);
  return (
    <Toast.Provider toastManager={toasts} limit={4}>
      <Toast.Portal>
        <Toast.Viewport className="fixed right-3 bottom-3 z-60 flex w-[calc(100vw-1.5rem)] max-w-96 flex-col gap-2">
          <List />
        </Toast.Viewport>
      </Toast.Portal>
    </Toast.Provider>
  );
}

const icons: Record<ToastTone, ReactNode> = {
  accent: <Info aria-hidden className="size-4 text-accent" />,
  ok: <CircleCheck aria-hidden className="size-4 text-ok" />,
  warning: <TriangleAlert aria-hidden className="size-4 text-warning" />,
  critical: <CircleAlert aria-hidden className="size-4 text-critical" />,
};

function List() {
  const t = useTranslations("ui");
  const { toasts: shown } = Toast.useToastManager<{ tone: ToastTone }>();
  return shown.map((toast) => (
    <Toast.Root key={toast.id} toast={toast} swipeDirection="right" className="popup data-limited:hidden">
      <Toast.Content className="flex items-start gap-2.5 p-3">
        <span className="mt-0.5">{icons[toast.data?.tone ?? "ok"]}</span>
        <div className="min-w-0 flex-1">
          <Toast.Title className="font-medium wrap-anywhere" />
          <Toast.Description className="text-quiet wrap-anywhere" />
          <Toast.Action className={clsx(buttonClass({ size: "small" }), "mt-2 empty:hidden")} />
        </div>
        <Toast.Close
          aria-label={t("close")}
          className={clsx(buttonClass({ look: "ghost", size: "small" }), "-my-1 w-7 px-0!")}
        >
          <X aria-hidden className="size-4" />
        </Toast.Close>
      </Toast.Content>
    </Toast.Root>
  ));
}
