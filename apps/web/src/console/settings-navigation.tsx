"use client";

import { clsx } from "clsx";
import Link from "next/link";
import { usePathname } from "next/navigation";
import { useTranslations } from "use-intl";
import { isWithin, pages } from "@/console/navigation.ts";

/** From one page of the settings to the others. */
export function SettingsNavigation() {
  const t = useTranslations("shell");
  const pathname = usePathname();
  return (
    <nav aria-label={t("settings")} className="mb-4 border-b border-line">
      <ul className="-mb-px flex flex-wrap gap-x-1">
        {pages
          .filter(({ settings }) => settings)
          .map(({ name, href, icon: Icon }) => {
            const here = isWithin(pathname, href);
            return (
              <li key={name}>
                <Link
                  href={href}
                  prefetch={false}
                  aria-current={here ? "page" : undefined}
                  className={clsx(
                    "inline-flex min-h-9 items-center gap-1.5 border-b-2 px-2 text-sm sm:px-3",
                    here ? "border-accent font-medium text-ink" : "border-transparent text-quiet hover:text-ink",
                  )}
                >
                  <Icon aria-hidden className="size-4 max-sm:hidden" />
                  {t(`pages.${name}`)}
                </Link>
              </li>
            );
          })}
      </ul>
    </nav>
  );
}
