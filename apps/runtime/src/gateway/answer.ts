/**
 * A provider's answer as it comes from its connection. A plain one is gathered as it is: the stream and the reader that a client library
 * makes of every answer cost as much as the call's whole JSON. Events are a stream, read no faster than whoever reads it.
 */
import type { IncomingHttpHeaders } from "node:http";
import { Readable } from "node:stream";
import type { Dispatcher } from "undici";

const maxPlainBytes = 64 * 1024 * 1024;

type Head = { statusCode: number; headers: IncomingHttpHeaders };

/** `events`: of a stream that succeeded. It throws when its provider breaks off, and ends the call when it is not read to its end. */
export type EventAnswer = Head & { events: Readable };
/** `bytes`: all of it. */
export type PlainAnswer = Head & { bytes: Buffer; events?: never };
export type ProviderAnswer = EventAnswer | PlainAnswer;

/** Ends a call to a provider, once. */
export class CallEnd {
  #ended = false;
  #abort: (() => void) | undefined;

  get ended(): boolean {
    return this.#ended;
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#abort?.();
  }

  /** What ends it from now on: at once, when it was ended before it began. */
  begins(abort: () => void): void {
    this.#abort = abort;
    if (this.#ended) abort();
  }
}

/** Takes one answer. `headCame` is called once: with its head, or when there will be none. */
export class AnswerTaking implements Dispatcher.DispatchHandler {
  /** Rejects when the answer did not come, or a plain one not whole. */
  readonly answer: Promise<ProviderAnswer>;
  readonly #resolve: (answer: ProviderAnswer) => void;
  readonly #reject: (error: Error) => void;
  readonly #end: CallEnd;
  readonly #headCame: () => void;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #head: Head | undefined;
  #events: Readable | undefined;

  constructor(end: CallEnd, headCame: () => void) {
    const { promise, resolve, reject } = Promise.withResolvers<ProviderAnswer>();
    this.answer = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#end = end;
    this.#headCame = headCame;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#end.begins(() => controller.abort(new Error("the call was ended")));
  }

  onResponseStart(controller: Dispatcher.DispatchController, statusCode: number, headers: IncomingHttpHeaders): void {
    // Others than the last say only that one is to come.
    if (statusCode < 200) return;
    this.#headCame();
    this.#head = { statusCode, headers };
    if (statusCode >= 300 || !String(headers["content-type"]).startsWith("text/event-stream")) return;
    this.#events = new Readable({
      read: () => controller.resume(),
      destroy: (error, done) => {
        controller.abort(error ?? new Error("the answer is not read any more"));
        done(error);
      },
    });
    // It may break off before it is read; whoever reads it is told.
    this.#events.on("error", () => undefined);
    this.#resolve({ statusCode, headers, events: this.#events });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#events !== undefined) {
      if (!this.#events.push(chunk)) controller.pause();
      return;
    }
    this.#bytes += chunk.length;
    if (this.#bytes > maxPlainBytes) controller.abort(new Error(`the answer has more than ${maxPlainBytes} bytes`));
    else this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    if (this.#events !== undefined) this.#events.push(null);
    else if (this.#head !== undefined) this.#resolve({ ...this.#head, bytes: whole(this.#chunks) });
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#head === undefined) this.#headCame();
    this.#events?.destroy(error);
    this.#reject(error);
  }
}

function whole(chunks: readonly Buffer[]): Buffer {
  const [first] = chunks;
  return first !== undefined && chunks.length === 1 ? first : Buffer.concat(chunks);
}
