"use client";

import { Download } from "lucide-react";
import { useTranslations } from "use-intl";
import type { ListAddress } from "@/console/list-address.ts";
import { Button } from "@/ui/button.tsx";
import { Menu, MenuItem } from "@/ui/menu.tsx";

const FORMATS = [
  ["csv", "exportCsv"],
  ["jsonl", "exportJsonl"],
] as const;

type Props = {
  list: string;
  address: Pick<ListAddress<string>, "filters" | "page">;
  of: Readonly<Record<string, string>> | undefined;
  /** The window that is shown: the file has what the filters find in it. */
  pin: string | undefined;
};

/** The whole filtered set as a file, streamed. */
export function ExportMenu({ list, address, of, pin }: Props) {
  const t = useTranslations("lists");
  const hrefOf = (format: string) => {
    const asked = new URLSearchParams({ ...address.filters, ...of, order: address.page.order, format });
    if (pin !== undefined) asked.set("pin", pin);
    return `/api/export/${list}?${asked.toString()}`;
  };
  return (
    <Menu trigger={<Button icon={<Download aria-hidden className="size-4" />}>{t("export")}</Button>}>
      {FORMATS.map(([format, label]) => (
        <MenuItem key={format} onSelect={() => window.location.assign(hrefOf(format))}>
          {t(label)}
        </MenuItem>
      ))}
    </Menu>
  );
}
