"use client";

// The filters of a list, as its specification names them. Text takes effect when it is entered, a choice at once. What is set shows as a row
// of chips, each with a way to remove it.
import { SlidersHorizontal, X } from "lucide-react";
import { type FormEvent, useState } from "react";
import { useTranslations } from "use-intl";
import type { ListAddress } from "@/console/list-address.ts";
import { Button } from "@/ui/button.tsx";
import { MomentField } from "@/ui/moment-field.tsx";
import { Popover } from "@/ui/popover.tsx";
import { Select } from "@/ui/select.tsx";
import { TextField } from "@/ui/text-field.tsx";

export type FilterSpec<Key extends string> = {
  key: Key;
  label: string;
  /** Seldom used: stands behind a button. */
  rare?: boolean;
} & (
  | { kind: "text"; placeholder?: string }
  /** In the address as ISO 8601, on the page in the operator's zone. */
  | { kind: "moment" }
  | { kind: "choice"; options: readonly { value: string; label: string }[] }
);

const ANY = "";

export function Filters<Key extends string>(props: { specs: readonly FilterSpec<Key>[]; address: ListAddress<Key> }) {
  const { specs, address } = props;
  const t = useTranslations("lists");
  if (specs.length === 0) return null;
  const rare = specs.filter((spec) => spec.rare === true);
  // A narrow screen has room for one beside the rows.
  const [first, common] = [specs.slice(0, 1), specs.slice(1).filter((spec) => spec.rare !== true)];
  const set = specs.filter(({ key }) => address.filters[key] !== undefined);
  return (
    <search aria-label={t("filters")} className="grid min-w-0 grid-cols-1 gap-2">
      <div className="flex flex-wrap items-end gap-2">
        <Several specs={first} address={address} />
        <div className="contents max-md:hidden">
          <Several specs={common} address={address} />
        </div>
        {common.length + rare.length > 0 && (
          <div className={rare.length === 0 ? "md:hidden" : undefined}>
            <Popover
              title={t("more")}
              trigger={<Button icon={<SlidersHorizontal aria-hidden className="size-4" />}>{t("more")}</Button>}
            >
              <div className="grid gap-3">
                <div className="grid gap-3 md:hidden">
                  <Several specs={common} address={address} />
                </div>
                <Several specs={rare} address={address} />
              </div>
            </Popover>
          </div>
        )}
      </div>
      {set.length > 0 && (
        <div className="flex flex-wrap items-center gap-1.5">
          {set.map(({ key, label }) => (
            <Button
              key={key}
              size="small"
              look="ghost"
              className="max-w-full"
              aria-label={t("remove", { filter: label })}
              icon={<X aria-hidden className="size-3.5 shrink-0" />}
              onClick={() => address.setFilters({ [key]: null } as Partial<Record<Key, null>>)}
            >
              <span className="truncate">
                {label}: <bdi>{address.filters[key]}</bdi>
              </span>
            </Button>
          ))}
          <Button
            size="small"
            look="ghost"
            onClick={() =>
              address.setFilters(Object.fromEntries(set.map(({ key }) => [key, null])) as Partial<Record<Key, null>>)
            }
          >
            {t("clear")}
          </Button>
        </div>
      )}
    </search>
  );
}

function Several<Key extends string>({
  specs,
  address,
}: {
  specs: readonly FilterSpec<Key>[];
  address: ListAddress<Key>;
}) {
  return specs.map((spec) => (
    // A filter that is changed elsewhere (a link, a saved view) starts again from there.
    <Filter key={`${spec.key} ${address.filters[spec.key] ?? ANY}`} spec={spec} address={address} />
  ));
}

function Filter<Key extends string>({ spec, address }: { spec: FilterSpec<Key>; address: ListAddress<Key> }) {
  const t = useTranslations("lists");
  const given = address.filters[spec.key] ?? ANY;
  const [text, setText] = useState(given);
  const put = (value: string) => {
    if (value !== given) address.setFilters({ [spec.key]: value.trim() } as Partial<Record<Key, string>>);
  };
  if (spec.kind === "choice") {
    const options = [{ value: ANY, label: t("any") }, ...spec.options];
    return <Select label={spec.label} options={options} value={given} onChange={put} className="w-36" />;
  }
  if (spec.kind === "moment") {
    const moment = new Date(given);
    return (
      <MomentField
        label={spec.label}
        value={Number.isNaN(moment.getTime()) ? null : moment}
        onChange={(value) => put(value?.toISOString() ?? "")}
        className="w-56"
      />
    );
  }
  const enter = (event: FormEvent) => {
    event.preventDefault();
    put(text);
  };
  return (
    <form onSubmit={enter} className="min-w-0">
      <TextField
        label={spec.label}
        value={text}
        onChange={setText}
        onBlur={() => put(text)}
        {...(spec.placeholder === undefined ? {} : { placeholder: spec.placeholder })}
        className="w-44"
        data-filter={spec.key}
      />
    </form>
  );
}
