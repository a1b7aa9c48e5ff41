import { clsx } from "clsx";
import { CopyButton } from "@/ui/copy.tsx";
import { indentJson, jsonText } from "@/ui/json-text.ts";

export type CodeBlockProps = {
  /** Shown as text, whatever it holds; its copy is exact. */
  text: string;
  /** Names the block and its copy button. */
  what: string;
  /** Long lines wrap unless false, then the block scrolls. */
  wrap?: boolean | undefined;
  copyText?: string | undefined;
};

/** Commands, raw entries, logs. */
export function CodeBlock({ text, what, wrap = true, copyText }: CodeBlockProps) {
  return (
    <figure aria-label={what} className="relative min-w-0 rounded-md border border-line bg-sunken">
      <pre
        // Scrolls by keyboard as well.
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        tabIndex={0}
        dir="ltr"
        className={clsx(
          "max-h-96 overflow-auto py-2.5 pr-10 pl-3 font-mono text-xs leading-5 [unicode-bidi:isolate]",
          wrap && "break-all whitespace-pre-wrap",
        )}
      >
        {text}
      </pre>
      <div className="absolute top-1 right-1">
        <CopyButton text={copyText ?? text} what={what} />
      </div>
    </figure>
  );
}

/** JSON: a text as it came (indented, no digit changed; copied as it came), or a value. */
export function JsonBlock(props: { what: string } & ({ text: string } | { value: unknown })) {
  if ("text" in props) return <CodeBlock what={props.what} text={indentJson(props.text)} copyText={props.text} />;
  return <CodeBlock what={props.what} text={jsonText(props.value)} />;
}
