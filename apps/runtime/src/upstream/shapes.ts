/**
 * One answer in the shapes of the providers' APIs: plain JSON, or the events of a stream. Only what clients read is there.
 * An event with `text` is one that `cut=n` counts.
 */
import type { Answer } from "./answer.ts";

export type Shape = {
  plain: (answer: Answer) => Record<string, unknown>;
  events: (answer: Answer, includeUsage: boolean) => Generator<StreamEvent>;
  error: (status: number) => Record<string, unknown>;
};

export type StreamEvent = { data: string; event?: string; text: boolean };

export const chat: Shape = {
  plain: (answer) => ({
    id: `chatcmpl-${answer.id}`,
    object: "chat.completion",
    created: 1_700_000_000,
    model: answer.model,
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: answer.words.join(" "), refusal: null },
        logprobs: null,
        finish_reason: answer.finish,
      },
    ],
    ...named("usage", chatUsage(answer)),
  }),
  *events(answer, includeUsage) {
    const usage = includeUsage ? chatUsage(answer) : undefined;
    const chunk = (choices: unknown[], text: boolean, chunkUsage?: unknown): StreamEvent => ({
      data: JSON.stringify({
        id: `chatcmpl-${answer.id}`,
        object: "chat.completion.chunk",
        created: 1_700_000_000,
        model: answer.model,
        choices,
        ...(usage === undefined ? {} : { usage: chunkUsage ?? null }),
      }),
      text,
    });
    yield chunk([{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }], false);
    for (const content of spaced(answer.words)) {
      yield chunk([{ index: 0, delta: { content }, finish_reason: null }], true);
    }
    yield chunk([{ index: 0, delta: {}, finish_reason: answer.finish }], false);
    if (usage !== undefined) yield chunk([], false, usage);
    yield { data: "[DONE]", text: false };
  },
  error: openaiError,
};

export const responses: Shape = {
  plain: (answer) => ({
    id: `resp_${answer.id}`,
    object: "response",
    created_at: 1_700_000_000,
    status: answer.finish === "stop" ? "completed" : "incomplete",
    model: answer.model,
    output: [
      {
        type: "message",
        id: `msg_${answer.id}`,
        status: "completed",
        role: "assistant",
        content: [{ type: "output_text", text: answer.words.join(" "), annotations: [] }],
      },
    ],
    ...named("usage", responsesUsage(answer)),
  }),
  *events(answer) {
    const whole = responses.plain(answer);
    const event = (type: string, fields: object, text = false): StreamEvent => ({
      event: type,
      data: JSON.stringify({ type, ...fields }),
      text,
    });
    const place = { item_id: `msg_${answer.id}`, output_index: 0, content_index: 0 };
    const { usage: _, ...begun } = whole;
    yield event("response.created", { response: { ...begun, status: "in_progress", output: [] } });
    for (const delta of spaced(answer.words)) yield event("response.output_text.delta", { ...place, delta }, true);
    yield event("response.output_text.done", { ...place, text: answer.words.join(" ") });
    yield event(`response.${answer.finish === "stop" ? "completed" : "incomplete"}`, { response: whole });
  },
  error: openaiError,
};

export const messages: Shape = {
  plain: (answer) => ({
    id: `msg_${answer.id}`,
    type: "message",
    role: "assistant",
    model: answer.model,
    content: [{ type: "text", text: answer.words.join(" ") }],
    stop_reason: stopReason(answer),
    stop_sequence: null,
    ...named("usage", messagesUsage(answer, answer.outputTokens)),
  }),
  *events(answer) {
    const event = (type: string, fields: object, text = false): StreamEvent => ({
      event: type,
      data: JSON.stringify({ type, ...fields }),
      text,
    });
    const { content: _, usage: __, ...whole } = messages.plain(answer);
    const begun = { ...whole, content: [], stop_reason: null };
    yield event("message_start", { message: { ...begun, ...named("usage", messagesUsage(answer, 1)) } });
    yield event("content_block_start", { index: 0, content_block: { type: "text", text: "" } });
    for (const text of spaced(answer.words)) {
      yield event("content_block_delta", { index: 0, delta: { type: "text_delta", text } }, true);
    }
    yield event("content_block_stop", { index: 0 });
    const usage = messagesUsage(answer, answer.outputTokens) && {
      output_tokens: answer.usage === "zero" ? 0 : answer.outputTokens,
    };
    yield event("message_delta", {
      delta: { stop_reason: stopReason(answer), stop_sequence: null },
      ...named("usage", usage),
    });
    yield event("message_stop", {});
  },
  error: (status) => ({
    type: "error",
    error: { type: status === 429 ? "rate_limit_error" : "api_error", message: errorMessage(status) },
  }),
};

export function openaiError(status: number): Record<string, unknown> {
  return {
    error: {
      message: errorMessage(status),
      type: status === 429 ? "requests" : status < 500 ? "invalid_request_error" : "server_error",
      param: null,
      code: status === 429 ? "rate_limit_exceeded" : null,
    },
  };
}

function errorMessage(status: number): string {
  return `The simulated provider was asked to answer ${status}.`;
}

function spaced(words: string[]): string[] {
  return words.map((word, index) => (index === 0 ? word : ` ${word}`));
}

function stopReason(answer: Answer): string {
  return answer.finish === "stop" ? "end_turn" : "max_tokens";
}

/** The field, or nothing at all: an answer that leaves usage out has no `usage: undefined` either. */
function named(name: string, value: unknown): Record<string, unknown> {
  return value === undefined ? {} : { [name]: value };
}

function counted(answer: Answer, count: number): number {
  return answer.usage === "zero" ? 0 : count;
}

function chatUsage(answer: Answer): Record<string, unknown> | undefined {
  if (answer.usage === "none") return undefined;
  return {
    prompt_tokens: counted(answer, answer.inputTokens),
    completion_tokens: counted(answer, answer.outputTokens),
    total_tokens: counted(answer, answer.inputTokens + answer.outputTokens),
    prompt_tokens_details: { cached_tokens: counted(answer, answer.cachedTokens), audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: counted(answer, answer.reasoningTokens), audio_tokens: 0 },
  };
}

function responsesUsage(answer: Answer): Record<string, unknown> | undefined {
  if (answer.usage === "none") return undefined;
  return {
    input_tokens: counted(answer, answer.inputTokens),
    input_tokens_details: { cached_tokens: counted(answer, answer.cachedTokens) },
    output_tokens: counted(answer, answer.outputTokens),
    output_tokens_details: { reasoning_tokens: counted(answer, answer.reasoningTokens) },
    total_tokens: counted(answer, answer.inputTokens + answer.outputTokens),
  };
}

function messagesUsage(answer: Answer, outputTokens: number): Record<string, unknown> | undefined {
  if (answer.usage === "none") return undefined;
  return {
    input_tokens: counted(answer, answer.inputTokens - answer.cachedTokens - answer.cacheWriteTokens),
    cache_creation_input_tokens: counted(answer, answer.cacheWriteTokens),
    cache_read_input_tokens: counted(answer, answer.cachedTokens),
    output_tokens: counted(answer, outputTokens),
  };
}
