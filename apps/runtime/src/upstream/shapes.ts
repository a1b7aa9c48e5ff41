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
    choices: indexes(answer).map((index) => ({
      index,
      message: { role: "assistant", refusal: null, ...chatMessage(answer) },
      logprobs: null,
      finish_reason: chatFinish(answer),
    })),
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
    const each = (delta: object, finish: string | null = null) =>
      indexes(answer).map((index) => ({ index, delta, finish_reason: finish }));
    const begun = answer.tool === undefined ? { content: "" } : { tool_calls: [{ index: 0, ...toolCall(answer, "") }] };
    for (const choice of each({ role: "assistant", ...begun })) yield chunk([choice], false);
    for (const piece of pieces(answer)) {
      const delta =
        answer.tool === undefined ? { content: piece } : { tool_calls: [{ index: 0, function: { arguments: piece } }] };
      for (const choice of each(delta)) yield chunk([choice], true);
    }
    for (const choice of each({}, chatFinish(answer))) yield chunk([choice], false);
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
      answer.tool === undefined
        ? {
            type: "message",
            id: `msg_${answer.id}`,
            status: "completed",
            role: "assistant",
            content: [{ type: "output_text", text: answer.words.join(" "), annotations: [] }],
          }
        : {
            type: "function_call",
            id: `fc_${answer.id}`,
            call_id: `call_${answer.id}`,
            status: "completed",
            name: answer.tool,
            arguments: pieces(answer).join(""),
          },
    ],
    ...named("usage", responsesUsage(answer)),
  }),
  *events(answer) {
    const whole = responses.plain(answer);
    const { usage: _, ...begun } = whole;
    yield typed("response.created", { response: { ...begun, status: "in_progress", output: [] } });
    if (answer.tool === undefined) {
      const place = { item_id: `msg_${answer.id}`, output_index: 0, content_index: 0 };
      for (const delta of pieces(answer)) yield typed("response.output_text.delta", { ...place, delta }, true);
      yield typed("response.output_text.done", { ...place, text: answer.words.join(" ") });
    } else {
      const place = { item_id: `fc_${answer.id}`, output_index: 0 };
      const [item] = whole["output"] as object[];
      yield typed("response.output_item.added", { output_index: 0, item: { ...item, arguments: "" } });
      for (const delta of pieces(answer))
        yield typed("response.function_call_arguments.delta", { ...place, delta }, true);
      yield typed("response.output_item.done", { output_index: 0, item });
    }
    yield typed(`response.${answer.finish === "stop" ? "completed" : "incomplete"}`, { response: whole });
  },
  error: openaiError,
};

export const messages: Shape = {
  plain: (answer) => ({
    id: `msg_${answer.id}`,
    type: "message",
    role: "assistant",
    model: answer.model,
    content: [
      answer.tool === undefined
        ? { type: "text", text: answer.words.join(" ") }
        : { type: "tool_use", id: `toolu_${answer.id}`, name: answer.tool, input: { text: answer.words.join(" ") } },
    ],
    stop_reason: stopReason(answer),
    stop_sequence: null,
    ...named("usage", messagesUsage(answer, answer.outputTokens)),
  }),
  *events(answer) {
    const { content: _, usage: __, ...whole } = messages.plain(answer);
    const begun = { ...whole, content: [], stop_reason: null };
    yield typed("message_start", { message: { ...begun, ...named("usage", messagesUsage(answer, 1)) } });
    yield typed("content_block_start", {
      index: 0,
      content_block:
        answer.tool === undefined
          ? { type: "text", text: "" }
          : { type: "tool_use", id: `toolu_${answer.id}`, name: answer.tool, input: {} },
    });
    yield typed("ping", {});
    for (const piece of pieces(answer)) {
      const delta =
        answer.tool === undefined
          ? { type: "text_delta", text: piece }
          : { type: "input_json_delta", partial_json: piece };
      yield typed("content_block_delta", { index: 0, delta }, true);
    }
    yield typed("content_block_stop", { index: 0 });
    const usage = messagesUsage(answer, answer.outputTokens) && {
      output_tokens: answer.usage === "zero" ? 0 : answer.outputTokens,
    };
    yield typed("message_delta", {
      delta: { stop_reason: stopReason(answer), stop_sequence: null },
      ...named("usage", usage),
    });
    yield typed("message_stop", {});
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

/** An event that is named as its data's `type` says. */
function typed(type: string, fields: object, text = false): StreamEvent {
  return { event: type, data: JSON.stringify({ type, ...fields }), text };
}

/** What is said, a word at a time: bare, or as the argument of a tool. Together the pieces are the whole. */
function pieces({ words, tool }: Answer): string[] {
  const spaced = words.map((word, index) => (index === 0 ? word : ` ${word}`));
  return tool === undefined ? spaced : ['{"text":"', ...spaced, '"}'];
}

function indexes(answer: Answer): number[] {
  return Array.from({ length: answer.answers }, (_, index) => index);
}

function toolCall(answer: Answer, text: string): object {
  return { id: `call_${answer.id}`, type: "function", function: { name: answer.tool, arguments: text } };
}

function chatMessage(answer: Answer): object {
  if (answer.tool === undefined) return { content: answer.words.join(" ") };
  return { content: null, tool_calls: [toolCall(answer, pieces(answer).join(""))] };
}

function chatFinish(answer: Answer): string {
  return answer.tool !== undefined && answer.finish === "stop" ? "tool_calls" : answer.finish;
}

function stopReason(answer: Answer): string {
  if (answer.finish !== "stop") return "max_tokens";
  return answer.tool === undefined ? "end_turn" : "tool_use";
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
