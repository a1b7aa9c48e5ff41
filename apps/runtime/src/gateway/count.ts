/**
 * Tokens counted from text, for answers whose provider did not say what it used. Four bytes are a token: close for English prose and
 * code. What a request may cost at most is another question, answered by `upperEstimate` of packages/billing.
 */

const bytesPerToken = 4;
/** Role and separators around each message. */
const tokensPerMessage = 4;
/** A picture or a file that stands in the body as data: its size says little of its tokens. */
const tokensPerAttachment = 1_500;

export function countTokens(bytes: number): number {
  return Math.ceil(bytes / bytesPerToken);
}

/** The prompt of a chat request. Walks with a stack of its own: a body may be nested deeper than the call stack. */
export function countPrompt(body: Readonly<Record<string, unknown>>): number {
  const messages = Array.isArray(body["messages"]) ? body["messages"].length : 0;
  let bytes = 0;
  let attachments = 0;
  const stack: unknown[] = [body["messages"], body["tools"], body["functions"], body["response_format"]];
  while (stack.length > 0) {
    const value = stack.pop();
    if (typeof value === "string") {
      if (value.startsWith("data:")) attachments += 1;
      else bytes += Buffer.byteLength(value);
    } else if (typeof value === "object" && value !== null) for (const part of Object.values(value)) stack.push(part);
  }
  return countTokens(bytes) + messages * tokensPerMessage + attachments * tokensPerAttachment;
}
