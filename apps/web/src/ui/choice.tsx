"use client";

// One of many, found by typing. Base UI's Combobox; what is typed only searches, what is chosen is always one of the options.
import { Combobox as Base } from "@base-ui/react/combobox";
import { ChevronsUpDown } from "lucide-react";
import { useTranslations } from "use-intl";
import { Field, type FieldProps, useField } from "@/ui/field.tsx";
import type { Option } from "@/ui/select.tsx";

const MOST_SHOWN = 60;

export type ChoiceProps<Value extends string> = Omit<FieldProps, "children"> & {
  options: readonly Option<Value>[];
  value: Value | null;
  onChange: (value: Value) => void;
  placeholder?: string | undefined;
};

export function Choice<Value extends string>(props: ChoiceProps<Value>) {
  const { label, hideLabel, hint, error, disabled, className, options, value, onChange, placeholder } = props;
  const t = useTranslations("ui");
  return (
    <Field {...{ label, hideLabel, hint, error, disabled, className }}>
      <Base.Root
        items={options as Option<Value>[]}
        limit={MOST_SHOWN}
        value={options.find((option) => option.value === value) ?? null}
        onValueChange={(next) => {
          if (next !== null) onChange(next.value);
        }}
        autoHighlight
      >
        <span className="relative block">
          <SearchInput placeholder={placeholder} />
          <Base.Trigger
            aria-label={t("choice.open")}
            className="absolute inset-y-0 right-0 flex w-8 items-center justify-center text-faint"
          >
            <ChevronsUpDown aria-hidden className="size-4" />
          </Base.Trigger>
        </span>
        <Base.Portal>
          <Base.Positioner sideOffset={4} className="z-50">
            <Base.Popup className="popup max-h-[min(20rem,var(--available-height))] w-(--anchor-width) min-w-56 overflow-y-auto p-1">
              <Base.Empty className="px-2.5 py-2 text-faint empty:hidden">{t("choice.none")}</Base.Empty>
              <Base.List>
                {(option: Option<Value>) => (
                  <Base.Item key={option.value} value={option} className="popup-item">
                    <span className="min-w-0 wrap-anywhere">{option.label}</span>
                    {option.note === undefined ? null : (
                      <span className="ml-auto pl-3 text-xs text-faint">{option.note}</span>
                    )}
                  </Base.Item>
                )}
              </Base.List>
            </Base.Popup>
          </Base.Positioner>
        </Base.Portal>
      </Base.Root>
    </Field>
  );
}

function SearchInput({ placeholder }: { placeholder: string | undefined }) {
  return <Base.Input {...useField()} placeholder={placeholder} className="control w-full pr-9" />;
}
