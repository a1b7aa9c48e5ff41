// The console's texts, read on the server and handed to the page as props: a browser loads one language, and none of it as script.
import { createTranslator } from "use-intl/core";
import { type Language, zoneOf } from "@/console/preferences.ts";
import { readPreferences } from "@/console/preferences-server.ts";
import en from "../../messages/en/index.ts";
import zhCN from "../../messages/zh-CN/index.ts";

export type Messages = typeof en;

declare module "use-intl" {
  interface AppConfig {
    Messages: Messages;
    Locale: Language;
  }
}

/** Does not compile until each language has every text. */
const messages: Record<Language, Messages> = { en, "zh-CN": zhCN };

export function messagesOf(language: Language): Messages {
  return messages[language];
}

/** `t` of a namespace for titles and what else the server writes; pages and views take useTranslations. */
export async function translator<Namespace extends keyof Messages>(namespace: Namespace) {
  const preferences = await readPreferences();
  const { language } = preferences;
  return createTranslator({ locale: language, namespace, messages: messages[language], timeZone: zoneOf(preferences) });
}
