"use client";

// Acting: what it would do, why, and the confirmation, which asks for more the more it touches. What was previewed is what is done: the
// page hands the frozen set on, and the act's id makes a second click the same act.
import { useMutation } from "@tanstack/react-query";
import { CircleAlert } from "lucide-react";
import { type ReactNode, useState } from "react";
import { useTranslations } from "use-intl";
import { type Confirmation, type Impact, useConfirmation } from "@/console/act.ts";
import { FaultNotice } from "@/console/fault-notice.tsx";
import { Button } from "@/ui/button.tsx";
import { CodeBlock } from "@/ui/code.tsx";
import { Dialog } from "@/ui/dialog.tsx";
import { Disclosure } from "@/ui/disclosure.tsx";
import { TextArea, TextField } from "@/ui/text-field.tsx";

export type ActDialogProps<Result> = {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  title: string;
  description?: ReactNode;
  /** What it would do, and to what exactly. */
  children?: ReactNode;
  impact: Impact;
  /** The button that does it: the act's own word. */
  verb: string;
  danger?: boolean;
  /** False while the preview is on its way, or the form is not complete. */
  prepared?: boolean;
  /** The equivalent command line, with the reason as it stands. */
  command?: ((reason: string) => string) | undefined;
  act: (confirmation: Confirmation) => Promise<Result>;
  /** Why the answer was no, in words: shown beside the form, which stays to be put right. Undefined when it was done. */
  refused?: (result: Result) => string | undefined;
  /** What came of it; shown in place of the form. Null closes the dialog. */
  outcome: (result: Result) => ReactNode;
  /** What the act changed is read again. */
  onDone?: (result: Result) => void;
};

export function ActDialog<Result>(props: ActDialogProps<Result>) {
  const { open, onOpenChange, title, description } = props;
  // Each opening is another act.
  const [opening, setOpening] = useState(0);
  const [wasOpen, setWasOpen] = useState(open);
  if (open !== wasOpen) {
    setWasOpen(open);
    if (open) setOpening(opening + 1);
  }
  return (
    <Dialog open={open} onOpenChange={onOpenChange} title={title} description={description} size="large">
      <ActForm key={opening} {...props} />
    </Dialog>
  );
}

function ActForm<Result>(props: ActDialogProps<Result>) {
  const {
    onOpenChange,
    impact,
    verb,
    danger,
    prepared = true,
    command,
    act,
    refused,
    outcome,
    onDone,
    children,
  } = props;
  const t = useTranslations("acts");
  const { confirmation, reason, setReason, typed, setTyped, word, ready } = useConfirmation(impact);
  const doing = useMutation({
    mutationFn: () => act(confirmation),
    onSuccess: (result) => {
      if (refused?.(result) !== undefined) return;
      onDone?.(result);
      if (outcome(result) === null) onOpenChange(false);
    },
  });
  const refusal = doing.isSuccess ? refused?.(doing.data) : undefined;
  if (doing.isSuccess && refusal === undefined)
    return <Outcome onClose={() => onOpenChange(false)}>{outcome(doing.data)}</Outcome>;
  const submit = () => {
    if (ready && prepared && !doing.isPending) doing.mutate();
  };
  return (
    <form
      className="grid gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      {children}
      <Why {...{ reason, setReason, typed, setTyped, word }} />
      {command && (
        <Disclosure label={t("command")}>
          <CodeBlock text={command(confirmation.reason)} what={t("command")} />
        </Disclosure>
      )}
      <NotDone refusal={refusal} error={doing.error} />
      <div className="flex flex-wrap justify-end gap-2">
        <Button onClick={() => onOpenChange(false)}>{t("cancel")}</Button>
        <Button
          type="submit"
          look={danger ? "danger" : "primary"}
          disabled={!ready || !prepared}
          busy={doing.isPending}
        >
          {doing.isError ? t("again") : verb}
        </Button>
      </div>
    </form>
  );
}

/** The reason, and the word that makes sure. */
function Why(props: Pick<ReturnType<typeof useConfirmation>, "reason" | "setReason" | "typed" | "setTyped" | "word">) {
  const { reason, setReason, typed, setTyped, word } = props;
  const t = useTranslations("acts");
  return (
    <>
      <TextArea
        label={t("reason")}
        hint={t("reasonHint")}
        value={reason}
        onChange={setReason}
        maxLength={2000}
        rows={2}
        required
      />
      {word !== null && (
        <TextField label={t("type", { word })} value={typed} onChange={setTyped} autoComplete="off" mono />
      )}
    </>
  );
}

/** What came of it, in place of the form. */
function Outcome({ onClose, children }: { onClose: () => void; children: ReactNode }) {
  const t = useTranslations("acts");
  return (
    <div className="grid gap-3">
      <output className="block">{children}</output>
      <div className="flex justify-end">
        <Button onClick={onClose}>{t("close")}</Button>
      </div>
    </div>
  );
}

function NotDone({ refusal, error }: { refusal: string | undefined; error: unknown }) {
  const t = useTranslations("acts");
  if (refusal !== undefined)
    return (
      <p role="alert" className="flex gap-2 text-sm wrap-anywhere text-critical">
        <CircleAlert aria-hidden className="mt-0.5 size-4 shrink-0" />
        <span className="min-w-0">
          {t("refused")} {refusal}
        </span>
      </p>
    );
  if (error == null) return null;
  return (
    <>
      <FaultNotice error={error} beside />
      <p className="text-sm text-quiet">{t("mayBeDone")}</p>
    </>
  );
}
