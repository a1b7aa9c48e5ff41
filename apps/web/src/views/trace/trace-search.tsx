"use client";

import { Search } from "lucide-react";
import { useRouter } from "next/navigation";
import { type FormEvent, useState } from "react";
import { useTranslations } from "use-intl";
import { traceHref } from "@/console/navigation.ts";
import { Button } from "@/ui/button.tsx";
import { TextField } from "@/ui/text-field.tsx";

/** Any id, whatever kind of id it is. */
export function TraceSearch() {
  const t = useTranslations("trace");
  const router = useRouter();
  const [id, setId] = useState("");
  const go = (event: FormEvent) => {
    event.preventDefault();
    if (id.trim() !== "") router.push(traceHref(id.trim()));
  };
  return (
    <search>
      <form onSubmit={go} className="flex max-w-2xl flex-wrap items-end gap-2">
        <TextField
          label={t("id")}
          hint={t("idHint")}
          value={id}
          onChange={setId}
          maxLength={1_000}
          autoComplete="off"
          spellCheck={false}
          mono
          className="min-w-0 flex-1 basis-64"
        />
        <Button type="submit" look="primary" icon={<Search aria-hidden className="size-4" />}>
          {t("find")}
        </Button>
      </form>
    </search>
  );
}
