"use client";

// The views of a list that an operator keeps: its address without the window, by a name.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Bookmark, Trash2 } from "lucide-react";
import { usePathname, useRouter, useSearchParams } from "next/navigation";
import { type FormEvent, useState } from "react";
import { useTranslations } from "use-intl";
import { useTRPC } from "@/trpc/client.ts";
import { Button, IconButton } from "@/ui/button.tsx";
import { Popover } from "@/ui/popover.tsx";
import { TextField } from "@/ui/text-field.tsx";

const WINDOW = ["cursor", "pin"];

export function SavedViews({ page }: { page: string }) {
  const t = useTranslations("lists");
  const [open, setOpen] = useState(false);
  return (
    <Popover
      trigger={<Button icon={<Bookmark aria-hidden className="size-4" />}>{t("views")}</Button>}
      title={t("views")}
      align="end"
      open={open}
      onOpenChange={setOpen}
    >
      <Views page={page} onGone={() => setOpen(false)} />
    </Popover>
  );
}

function Views({ page, onGone }: { page: string; onGone: () => void }) {
  const t = useTranslations("lists");
  const trpc = useTRPC();
  const client = useQueryClient();
  const router = useRouter();
  const path = usePathname();
  const [name, setName] = useState("");
  const asked = new URLSearchParams(useSearchParams());
  for (const key of WINDOW) asked.delete(key);
  const views = useQuery(trpc.views.list.queryOptions({ page }));
  const onSuccess = () => client.invalidateQueries({ queryKey: trpc.views.list.queryKey({ page }) });
  const put = useMutation(trpc.views.put.mutationOptions({ onSuccess }));
  const remove = useMutation(trpc.views.remove.mutationOptions({ onSuccess }));
  const keep = (event: FormEvent) => {
    event.preventDefault();
    if (name.trim() === "") return;
    put.mutate({ page, name: name.trim(), query: asked.toString() });
    setName("");
  };
  return (
    <div className="grid w-72 max-w-full gap-3">
      {views.data?.length === 0 && <p className="text-sm text-quiet">{t("noViews")}</p>}
      <ul className="grid gap-1">
        {views.data?.map((view) => (
          <li key={view.name} className="flex items-center gap-1">
            <Button
              look="ghost"
              className="min-w-0 flex-1 justify-start!"
              onClick={() => {
                router.push(`${path}?${view.query}`);
                onGone();
              }}
            >
              <span className="truncate">{view.name}</span>
            </Button>
            <IconButton
              label={t("deleteView", { name: view.name })}
              icon={<Trash2 aria-hidden className="size-4" />}
              onClick={() => remove.mutate({ page, name: view.name })}
            />
          </li>
        ))}
      </ul>
      <form onSubmit={keep} className="flex items-end gap-2">
        <TextField label={t("viewName")} value={name} onChange={setName} maxLength={80} className="flex-1" />
        <Button type="submit" look="primary" busy={put.isPending}>
          {t("saveView")}
        </Button>
      </form>
    </div>
  );
}
