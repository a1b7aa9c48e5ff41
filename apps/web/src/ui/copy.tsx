"use client";

import { Check, Copy } from "lucide-react";
import { useEffect, useState } from "react";
import { useTranslations } from "use-intl";
import { Button, type ButtonLook, IconButton } from "@/ui/button.tsx";
import { showToast } from "@/ui/toast.tsx";

const SAID_MS = 1_600;

export type CopyButtonProps = {
  /** Copied to the last character. */
  text: string;
  /** What it copies, for its name: "Copy <what>". */
  what?: string | undefined;
  /** Drawn beside the icon; without it, the icon alone. */
  label?: string | undefined;
  look?: ButtonLook | undefined;
};

export function CopyButton({ text, what, label, look = "ghost" }: CopyButtonProps) {
  const t = useTranslations("ui");
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), SAID_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = () => {
    navigator.clipboard.writeText(text).then(
      () => setCopied(true),
      () => showToast({ tone: "warning", title: t("copy.refused"), description: t("copy.byHand") }),
    );
  };
  const name = what === undefined ? t("copy.copy") : t("copy.copyWhat", { what });
  const icon = copied ? <Check aria-hidden className="size-3.5 text-ok" /> : <Copy aria-hidden className="size-3.5" />;
  return (
    <>
      {label === undefined ? (
        <IconButton size="small" look={look} label={copied ? t("copy.copied") : name} icon={icon} onClick={copy} />
      ) : (
        <Button size="small" look={look} icon={icon} onClick={copy}>
          {copied ? t("copy.copied") : label}
        </Button>
      )}
      <output className="sr-only">{copied ? t("copy.copied") : ""}</output>
    </>
  );
}
