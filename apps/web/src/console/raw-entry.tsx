"use client";

// A stream entry as its bytes are: each field as text, or as hex where it is no text; all of it to copy.
import { useTranslations } from "use-intl";
import type { RawField, RawValue } from "@/server/raw-entry.ts";
import { CopyButton } from "@/ui/copy.tsx";
import { jsonText } from "@/ui/json-text.ts";

export type RawEntryProps = {
  fields: readonly RawField[];
  /** The exact bytes, where they are kept. */
  base64?: string;
};

export function RawEntry({ fields, base64 }: RawEntryProps) {
  const t = useTranslations("replays");
  const copied = fields.map(({ name, value }) => [copyOf(name), copyOf(value)]);
  return (
    <figure aria-label={t("raw.title")} className="min-w-0 rounded-md border border-line bg-sunken">
      <figcaption className="flex flex-wrap items-center gap-2 border-b border-line px-3 py-1.5 text-xs text-quiet">
        <span className="flex-1">{t("raw.fields", { count: fields.length })}</span>
        <CopyButton text={jsonText(copied)} what={t("raw.title")} label={t("raw.copyJson")} />
        {base64 !== undefined && <CopyButton text={base64} what={t("raw.bytes")} label={t("raw.copyBytes")} />}
      </figcaption>
      <dl
        // Scrolls by keyboard as well.
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        tabIndex={0}
        className="max-h-96 overflow-auto px-3 py-2 font-mono text-xs leading-5"
      >
        {fields.map(({ name, value }, at) => (
          // Fields may repeat: their place is what they are.
          // oxlint-disable-next-line react/no-array-index-key
          <div key={at} className="grid gap-x-3 sm:grid-cols-[11rem_minmax(0,1fr)]">
            <dt className="text-quiet wrap-anywhere">
              <Value value={name} />
            </dt>
            <dd className="wrap-anywhere whitespace-pre-wrap">
              <Value value={value} />
            </dd>
          </div>
        ))}
      </dl>
    </figure>
  );
}

function Value({ value }: { value: RawValue }) {
  const t = useTranslations("replays");
  if (value.text !== null) return <bdi>{value.text === "" ? '""' : value.text}</bdi>;
  return (
    <>
      <span className="text-warning">{t("raw.hex")} </span>
      {value.hex}
    </>
  );
}

function copyOf(value: RawValue): string {
  return value.text ?? `hex:${value.hex}`;
}
