// The console's texts, read on the server and handed to the page as props: a browser loads one language, and none of it as script.
import compile from "icu-minify/compile";
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
const written: Record<Language, Messages> = { en, "zh-CN": zhCN };

/** Parsed once here instead of in every browser; use-intl takes them like this by the alias in next.config.ts. */
const messages: Record<Language, Messages> = { en: compiled(written.en), "zh-CN": compiled(written["zh-CN"]) };

type Texts = { [key: string]: string | Texts };

function compiled(texts: Messages): Messages {
  const all = (part: Texts): object =>
    Object.fromEntries(
      Object.entries(part).map(([key, text]) => [key, typeof text === "string" ? compile(text) : all(text)]),
    );
  // What crosses to the browser has to be plain objects.
  return structuredClone(all(texts)) as Messages;
}

export function messagesOf(language: Language): Messages {
  return messages[language];
}

/** `t` of a namespace for titles and what else the server writes; pages and views take useTranslations. */
export async function translator<Namespace extends keyof Messages>(namespace: Namespace) {
  const preferences = await readPreferences();
  const { language } = preferences;
  return createTranslator({ locale: language, namespace, messages: messages[language], timeZone: zoneOf(preferences) });
}
