/** OpenAI's embeddings: all input, no stream. */
import { z } from "zod";
import { bearer, proxiedBody, type Surface } from "./surface.ts";

const body = proxiedBody.extend({
  // Text, tokens, or a list of either.
  input: z.union([z.string(), z.array(z.unknown()).min(1)]),
  stream: z.literal(false, "cannot be asked of embeddings").nullish(),
});

export const embeddings: Surface = {
  path: "/embeddings",
  shapes: ["openai"],
  body,
  keyHeaders: bearer,
  added: () => ({}),
  hidesUsage: () => false,
  prompt: ["input"],
  outputLimit: () => 0,
  answers: () => 1,
  readPlain: (answer) => ({ usage: answer["usage"], output: [] }),
  namesEvents: false,
  readEvent: () => "other",
};
