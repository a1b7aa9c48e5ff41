"use client";

import type { ProviderToSet, SetProviderOutcome, StoredProvider } from "@drawdown/billing";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { impactOf } from "@/console/act.ts";
import { useCommand } from "@/console/act-command.ts";
import { ActDialog } from "@/console/act-dialog.tsx";
import { useTRPC, useTRPCClient } from "@/trpc/client.ts";
import { KeyValues } from "@/ui/key-values.tsx";
import { Select } from "@/ui/select.tsx";
import { TextField } from "@/ui/text-field.tsx";

const shapes = ["openai", "anthropic"] as const;

type Typed = { name: string; baseUrl: string; shape: StoredProvider["shape"]; variable: string };

function textOf(provider: StoredProvider | null): Typed {
  const { name = "", baseUrl = "", shape = "openai", apiKeyEnv } = provider ?? {};
  return { name, baseUrl, shape, variable: apiKeyEnv ?? "" };
}

/** Adds a provider, or changes the one that is given. */
export function SetProvider({
  open,
  onOpenChange,
  provider,
  known,
}: {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  provider: StoredProvider | null;
  known: readonly StoredProvider[];
}) {
  const t = useTranslations("providers");
  const trpc = useTRPC();
  const { providers } = useTRPCClient();
  const queries = useQueryClient();
  const start = textOf(provider);
  const [text, setText] = useState(start);
  const wanted = {
    name: provider?.name ?? text.name.trim(),
    baseUrl: text.baseUrl.trim(),
    shape: text.shape,
    apiKeyEnv: text.variable.trim() || null,
  };
  const complete = wanted.name !== "" && wanted.baseUrl !== "";
  const command = useCommand(complete ? { act: "set_provider", provider: wanted } : undefined);
  const present = known.find((one) => one.name === wanted.name);
  const outcome = (result: SetProviderOutcome) => (result.outcome === "refused" ? null : <Done result={result} />);
  return (
    <ActDialog<SetProviderOutcome>
      open={open}
      onOpenChange={(next) => {
        if (!next) setText(start);
        onOpenChange(next);
      }}
      title={provider === null ? t("add") : t("changeTitle", { name: provider.name })}
      impact={impactOf(1)}
      verb={provider === null ? t("addVerb") : t("change")}
      prepared={complete}
      command={command}
      act={(why) => providers.set.mutate({ provider: wanted, ...why })}
      refused={(result) => (result.outcome === "refused" ? result.message : undefined)}
      outcome={outcome}
      onDone={() => {
        void queries.invalidateQueries(trpc.providers.pathFilter());
      }}
    >
      <Fields text={text} setText={setText} isNew={provider === null} />
      {present && <Change present={present} wanted={wanted} isNew={provider === null} />}
    </ActDialog>
  );
}

function Fields({ text, setText, isNew }: { text: Typed; setText: (text: Typed) => void; isNew: boolean }) {
  const t = useTranslations("providers");
  const put =
    <Name extends keyof Typed>(name: Name) =>
    (value: Typed[Name]) =>
      setText({ ...text, [name]: value });
  return (
    <>
      {isNew && (
        <TextField
          label={t("name")}
          hint={t("nameHint")}
          value={text.name}
          onChange={put("name")}
          autoComplete="off"
          required
        />
      )}
      <TextField
        label={t("baseUrl")}
        hint={t("baseUrlHint")}
        value={text.baseUrl}
        onChange={put("baseUrl")}
        placeholder="https://api.example.com/v1"
        autoComplete="off"
        mono
        required
      />
      <div className="grid gap-4 sm:grid-cols-2">
        <Select
          label={t("shape")}
          options={shapes.map((value) => ({ value, label: t(`shapes.${value}`) }))}
          value={text.shape}
          onChange={put("shape")}
        />
        <TextField
          label={t("apiKeyEnv")}
          hint={t("apiKeyEnvHint")}
          value={text.variable}
          onChange={put("variable")}
          placeholder="OPENAI_API_KEY"
          autoComplete="off"
          mono
        />
      </div>
    </>
  );
}

function Change({ present, wanted, isNew }: { present: StoredProvider; wanted: ProviderToSet; isNew: boolean }) {
  const t = useTranslations("providers");
  return (
    <div className="rounded-md border border-line p-3">
      {isNew && <p className="mb-2 text-sm text-warning">{t("overwrites")}</p>}
      <KeyValues
        items={[
          { label: t("now"), value: <Line provider={present} /> },
          { label: t("then"), value: <Line provider={wanted} /> },
        ]}
      />
    </div>
  );
}

function Line({ provider }: { provider: ProviderToSet }) {
  const t = useTranslations("providers");
  return (
    <>
      <bdi className="font-mono text-xs">{provider.baseUrl}</bdi> · {t(`shapes.${provider.shape}`)} ·{" "}
      {provider.apiKeyEnv == null ? t("noKey") : <bdi className="font-mono text-xs">{provider.apiKeyEnv}</bdi>}
    </>
  );
}

function Done({ result }: { result: Exclude<SetProviderOutcome, { outcome: "refused" }> }) {
  const t = useTranslations("providers");
  const { name, baseUrl } = result.provider;
  return <p className="wrap-anywhere">{t(result.outcome, { name, baseUrl })}</p>;
}
