import { describe, expect, it } from "vitest";
import { readUsage } from "../src/usage.ts";

const invalidRequest = expect.objectContaining({ name: "BillingError", code: "invalid_request", retryable: false });

describe("usage is read from the names that the providers use", () => {
  it("OpenAI chat: prompt_tokens are input, not 0", () => {
    expect(
      readUsage({
        prompt_tokens: 2_006,
        completion_tokens: 300,
        total_tokens: 2_306,
        prompt_tokens_details: { cached_tokens: 1_920, audio_tokens: 0 },
        completion_tokens_details: { reasoning_tokens: 128, audio_tokens: 0, accepted_prediction_tokens: 0 },
      }),
    ).toEqual({
      inputTokens: 2_006,
      cachedInputTokens: 1_920,
      cacheWriteTokens: 0,
      outputTokens: 300,
      reasoningTokens: 128,
      totalTokens: 2_306,
      inputAudioTokens: 0,
      outputAudioTokens: 0,
    });
  });

  it("OpenAI responses: cached tokens are inside input_tokens", () => {
    const usage = {
      input_tokens: 328,
      input_tokens_details: { cached_tokens: 320, cache_write_tokens: 5 },
      output_tokens: 52,
      output_tokens_details: { reasoning_tokens: 12 },
      total_tokens: 380,
    };
    expect(readUsage(usage)).toEqual({
      inputTokens: 328,
      cachedInputTokens: 320,
      cacheWriteTokens: 5,
      outputTokens: 52,
      reasoningTokens: 12,
      totalTokens: 380,
    });
  });

  it("Anthropic: cache reads and writes are beside input_tokens, and are input too", () => {
    const usage = {
      input_tokens: 21,
      cache_creation_input_tokens: 188_086,
      cache_read_input_tokens: 1_000,
      cache_creation: { ephemeral_5m_input_tokens: 88_086, ephemeral_1h_input_tokens: 100_000 },
      output_tokens: 393,
      output_tokens_details: { thinking_tokens: 40 },
      service_tier: "standard",
    };
    expect(readUsage(usage)).toEqual({
      inputTokens: 189_107,
      cachedInputTokens: 1_000,
      cacheWriteTokens: 188_086,
      cacheWrite1hTokens: 100_000,
      outputTokens: 393,
      reasoningTokens: 40,
      totalTokens: 189_500,
    });
  });

  it("Anthropic: cache writes are known by their lifetimes alone", () => {
    const usage = { input_tokens: 1, cache_creation: { ephemeral_5m_input_tokens: 2, ephemeral_1h_input_tokens: 3 } };
    expect(readUsage(usage)).toMatchObject({ inputTokens: 6, cacheWriteTokens: 5, cacheWrite1hTokens: 3 });
  });

  it("embeddings: prompt_tokens alone", () => {
    expect(readUsage({ prompt_tokens: 8, total_tokens: 8 })).toEqual({
      inputTokens: 8,
      cachedInputTokens: 0,
      cacheWriteTokens: 0,
      outputTokens: 0,
      reasoningTokens: 0,
      totalTokens: 8,
    });
  });

  it("xAI: reasoning beside completion_tokens is output too", () => {
    const usage = {
      prompt_tokens: 32,
      completion_tokens: 9,
      total_tokens: 135,
      completion_tokens_details: { reasoning_tokens: 94 },
    };
    expect(readUsage(usage)).toMatchObject({ outputTokens: 103, reasoningTokens: 94, totalTokens: 135 });
  });

  it("DeepSeek, Moonshot and proxies of Anthropic: cache hits under their own names", () => {
    const usage = { prompt_tokens: 100, completion_tokens: 1 };
    expect(readUsage({ ...usage, prompt_cache_hit_tokens: 64, prompt_cache_miss_tokens: 36 })).toMatchObject({
      inputTokens: 100,
      cachedInputTokens: 64,
    });
    expect(readUsage({ ...usage, cached_tokens: 50 })).toMatchObject({ inputTokens: 100, cachedInputTokens: 50 });
    expect(readUsage({ ...usage, cache_read_input_tokens: 40, cache_creation_input_tokens: 7 })).toMatchObject({
      inputTokens: 100,
      cachedInputTokens: 40,
      cacheWriteTokens: 7,
    });
  });

  it("both sets of names: an unfilled zero does not beat a count", () => {
    const counted = { inputTokens: 12, outputTokens: 3 };
    const chat = { prompt_tokens: 12, completion_tokens: 3 };
    const other = { input_tokens: 12, output_tokens: 3 };
    expect(readUsage({ ...chat, input_tokens: 0, output_tokens: 0 })).toMatchObject(counted);
    expect(readUsage({ ...other, prompt_tokens: 0, completion_tokens: 0 })).toMatchObject(counted);
    expect(readUsage({ ...chat, output_tokens: 3 })).toMatchObject(counted);
  });
});

describe("unknown is not zero", () => {
  it.each([[undefined], [null], [{}], [{ total_tokens: 5 }], [{ prompt_tokens: null }]])("%j is no usage", (usage) => {
    expect(readUsage(usage)).toBeUndefined();
  });

  it("an explicit zero stays zero", () => {
    expect(readUsage({ prompt_tokens: 0, completion_tokens: 0 })).toEqual({
      inputTokens: 0,
      cachedInputTokens: 0,
      cacheWriteTokens: 0,
      outputTokens: 0,
      reasoningTokens: 0,
      totalTokens: 0,
    });
    expect(readUsage({ input_tokens: 0, output_tokens: 0 })).toMatchObject({ inputTokens: 0, totalTokens: 0 });
  });

  it.each([[{ completion_tokens: 5 }], [{ output_tokens: 5 }]])("%j says no input and is refused", (usage) => {
    expect(() => readUsage(usage)).toThrow(invalidRequest);
  });
});

describe("counts are whole numbers from 0 to 2^53", () => {
  it.each([[-1], [1.5], [Number.NaN], [Number.POSITIVE_INFINITY], [2 ** 53 + 2], ["12"], [true], [12n], [{}]])(
    "%s is refused wherever it stands",
    (value) => {
      for (const usage of [
        { prompt_tokens: value },
        { prompt_tokens: 1, completion_tokens: value },
        { prompt_tokens: 1, total_tokens: value },
        { prompt_tokens: 1, prompt_tokens_details: { cached_tokens: value } },
        { input_tokens: value },
        { input_tokens: 1, output_tokens: value },
        { input_tokens: 1, cache_read_input_tokens: value },
        { input_tokens: 1, cache_creation: { ephemeral_1h_input_tokens: value } },
      ])
        expect(() => readUsage(usage)).toThrow(invalidRequest);
    },
  );

  it("2^53 is a count; one more in sum is refused", () => {
    expect(readUsage({ prompt_tokens: 2 ** 53 })).toMatchObject({ inputTokens: 2 ** 53 });
    expect(() => readUsage({ prompt_tokens: 2 ** 53, completion_tokens: 1 })).toThrow(invalidRequest);
    expect(() => readUsage({ input_tokens: 2 ** 53, cache_read_input_tokens: 1 })).toThrow(invalidRequest);
  });

  it.each([
    ["usage", 5],
    ["usage", [1]],
    ["usage", "text"],
    ["prompt_tokens_details", { prompt_tokens: 1, prompt_tokens_details: [] }],
  ])("%s that is no object is refused", (_, usage) => {
    expect(() => readUsage(usage)).toThrow(invalidRequest);
  });

  it("parts that exceed their whole are refused", () => {
    expect(() => readUsage({ prompt_tokens: 10, prompt_tokens_details: { cached_tokens: 11 } })).toThrow(
      invalidRequest,
    );
    expect(() =>
      readUsage({ input_tokens: 10, input_tokens_details: { cached_tokens: 6, cache_write_tokens: 5 } }),
    ).toThrow(invalidRequest);
    expect(() =>
      readUsage({
        input_tokens: 1,
        cache_creation_input_tokens: 2,
        cache_creation: { ephemeral_1h_input_tokens: 3 },
      }),
    ).toThrow(invalidRequest);
  });
});
