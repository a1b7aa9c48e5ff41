"use client";

import { useMemo } from "react";
import { useTranslations } from "use-intl";
import { BROWSER_ZONE, languages, themes, timesOptions } from "@/console/preferences.ts";
import { usePreferences } from "@/console/preferences-provider.tsx";
import { Choice } from "@/ui/choice.tsx";
import { Dialog } from "@/ui/dialog.tsx";
import { useNow } from "@/ui/moment.tsx";
import { Select } from "@/ui/select.tsx";
import { zoneText } from "@/ui/time.ts";

/** Each language by its own name: who needs it reads no other. */
const languageNames = { en: "English", "zh-CN": "简体中文" } as const;

export function PreferencesDialog({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  const t = useTranslations("preferences");
  const { preferences, change } = usePreferences();
  const now = useNow();
  const zones = useMemo(() => {
    const names = ["UTC", ...Intl.supportedValuesOf("timeZone").filter((name) => name !== "UTC")];
    return names.map((name) => ({ value: name, label: name, note: zoneText(now, name) }));
    // Offsets of the moment it opened do.
    // oxlint-disable-next-line react/exhaustive-deps
  }, []);
  const here = { value: BROWSER_ZONE, label: t("zoneBrowser", { zone: preferences.here ?? "UTC" }) };
  return (
    <Dialog open={open} onOpenChange={onOpenChange} title={t("title")} size="small">
      <div className="grid gap-4">
        <Select
          label={t("theme")}
          value={preferences.theme}
          onChange={(theme) => change({ theme })}
          options={themes.map((value) => ({ value, label: t(`themes.${value}`) }))}
        />
        <Select
          label={t("language")}
          value={preferences.language}
          onChange={(language) => change({ language })}
          options={languages.map((value) => ({ value, label: languageNames[value] }))}
        />
        <Choice
          label={t("zone")}
          hint={t("zoneHint")}
          value={preferences.zone}
          onChange={(zone) => change({ zone })}
          options={[here, ...zones]}
        />
        <Select
          label={t("times")}
          value={preferences.times}
          onChange={(times) => change({ times })}
          options={timesOptions.map((value) => ({ value, label: t(`timesOptions.${value}`) }))}
        />
      </div>
    </Dialog>
  );
}
