"use client";

// The preferences while the page is open. A change is written to the cookie and shown at once; a change of language asks the server for
// the page again, which has the texts.
import { useRouter } from "next/navigation";
import {
  createContext,
  type ReactNode,
  use,
  useCallback,
  useEffect,
  useMemo,
  useState,
  useSyncExternalStore,
} from "react";
import { IntlProvider } from "use-intl";
import type { Messages } from "@/console/messages.ts";
import { PREFERENCES_COOKIE, type Preferences, preferencesText, zoneOf } from "@/console/preferences.ts";
import { TimesProvider } from "@/ui/moment.tsx";

const KEPT_SECONDS = 400 * 86_400;

type Choosing = { preferences: Preferences; change: (changed: Partial<Preferences>) => void };

const Chosen = createContext<Choosing | undefined>(undefined);

export function usePreferences(): Choosing {
  const chosen = use(Chosen);
  if (chosen === undefined) throw new Error("usePreferences needs the PreferencesProvider of the root layout.");
  return chosen;
}

export type PreferencesProviderProps = {
  served: Preferences;
  servedAt: Date;
  /** Of the served language. */
  messages: Messages;
  children: ReactNode;
};

export function PreferencesProvider({ served, servedAt, messages, children }: PreferencesProviderProps) {
  const router = useRouter();
  const [chosen, setChosen] = useState(served);
  const here = useSyncExternalStore(never, browserZone, () => served.here);
  const preferences = useMemo(() => ({ ...chosen, here }), [chosen, here]);
  const change = useCallback(
    (changed: Partial<Preferences>) => {
      const next = { ...preferences, ...changed };
      setChosen(next);
      keep(next);
      if (changed.theme !== undefined) showTheme(changed.theme);
      if (changed.language !== undefined) router.refresh();
    },
    [preferences, router],
  );
  useEffect(() => {
    if (preferences.here !== served.here) keep(preferences);
  }, [preferences, served.here]);
  const choosing = useMemo(() => ({ preferences, change }), [preferences, change]);
  return (
    <Chosen value={choosing}>
      <IntlProvider locale={served.language} messages={messages} timeZone={zoneOf(preferences)} now={servedAt}>
        <TimesProvider times={preferences.times} servedAt={servedAt}>
          {children}
        </TimesProvider>
      </IntlProvider>
    </Chosen>
  );
}

const never = () => () => {};

function browserZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

function keep(preferences: Preferences): void {
  const value = encodeURIComponent(preferencesText(preferences));
  // The Cookie Store API is not there over plain http, under which the console also runs.
  // oxlint-disable-next-line unicorn/no-document-cookie
  document.cookie = `${PREFERENCES_COOKIE}=${value}; path=/; max-age=${KEPT_SECONDS}; samesite=lax`;
}

function showTheme(theme: Preferences["theme"]): void {
  const { dataset } = document.documentElement;
  if (theme === "system") delete dataset["theme"];
  else dataset["theme"] = theme;
}
