/**
 * Every refusal of the gateway, OpenAI-shaped: `{"error":{"message","type","param","code",…}}`. The two tables below are the one place
 * where an outcome of billing becomes an HTTP answer; they do not compile until they know every code and every reason.
 */
import { BillingError, type BillingErrorCode, formatUnits, type Price, type Refusal } from "@drawdown/billing";

export type GatewayErrorCode =
  | "invalid_api_key"
  | "insufficient_balance"
  | "spend_limit"
  | "account_frozen"
  | "model_not_allowed"
  | "model_not_priced"
  | "not_found"
  | "idempotency_conflict"
  | "hold_not_found"
  | "hold_closed"
  | "rate_limited"
  | "body_too_large"
  | "invalid_request"
  | "internal_error"
  | "upstream_error"
  | "billing_unavailable";

type HttpAnswer = { status: number; type: string; headers?: Record<string, string> };

/** The official clients retry a 409 by themselves, and some a 402: asking again cannot help until something else changes. */
const doNotRetry = { "x-should-retry": "false" };
const retryAfterSeconds = "1";

const answers: Record<GatewayErrorCode, HttpAnswer> = {
  invalid_api_key: { status: 401, type: "invalid_request_error" },
  insufficient_balance: { status: 402, type: "insufficient_quota", headers: doNotRetry },
  spend_limit: { status: 402, type: "insufficient_quota", headers: doNotRetry },
  account_frozen: { status: 403, type: "permission_error" },
  model_not_allowed: { status: 403, type: "permission_error" },
  model_not_priced: { status: 404, type: "invalid_request_error" },
  not_found: { status: 404, type: "invalid_request_error" },
  idempotency_conflict: { status: 409, type: "invalid_request_error", headers: doNotRetry },
  hold_not_found: { status: 404, type: "invalid_request_error" },
  hold_closed: { status: 409, type: "invalid_request_error", headers: doNotRetry },
  rate_limited: { status: 429, type: "rate_limit_error" },
  body_too_large: { status: 413, type: "invalid_request_error" },
  invalid_request: { status: 422, type: "invalid_request_error" },
  internal_error: { status: 500, type: "server_error" },
  upstream_error: { status: 502, type: "upstream_error" },
  billing_unavailable: { status: 503, type: "server_error", headers: { "retry-after": retryAfterSeconds } },
};

const codeOfBillingError: Record<BillingErrorCode, GatewayErrorCode> = {
  redis_unavailable: "billing_unavailable",
  postgres_unavailable: "billing_unavailable",
  fenced: "billing_unavailable",
  redis_memory: "billing_unavailable",
  config: "billing_unavailable",
  invalid_amount: "invalid_request",
  invalid_request: "invalid_request",
  model_not_priced: "model_not_priced",
};

const codeOfRefusal: Record<Refusal["reason"], GatewayErrorCode> = {
  insufficient_balance: "insufficient_balance",
  spend_limit: "spend_limit",
  account_frozen: "account_frozen",
  // A price in another currency than the account's is no price.
  currency_mismatch: "model_not_priced",
};

/** What a refused request asked for. `estimate` says from what its required amount follows. */
export type Asked = {
  requestId: string;
  provider: string;
  model: string;
  price?: Price | undefined;
  estimate?: Record<string, unknown> | undefined;
};

/** A refusal by the scripts, with what was asked: kept for support (refusals.ts). */
export type Refused = { refusal: Refusal; asked: Asked };

/** An answer that is not 2xx. `fields` stand beside message, type and code; `headers` beside those of the code. */
export class GatewayError extends Error {
  readonly code: GatewayErrorCode;
  readonly fields: Record<string, string>;
  readonly headers: Record<string, string>;
  readonly refused: Refused | undefined;

  constructor(
    code: GatewayErrorCode,
    message: string,
    more: {
      fields?: Record<string, string>;
      headers?: Record<string, string>;
      refused?: Refused;
      cause?: unknown;
    } = {},
  ) {
    super(message, { cause: more.cause });
    this.name = "GatewayError";
    this.code = code;
    this.fields = more.fields ?? {};
    this.headers = more.headers ?? {};
    this.refused = more.refused;
  }
}

/** What a refused hold or charge is answered. Amounts are decimal strings of units. */
export function refusalError(refusal: Refusal, asked: Asked): GatewayError {
  const code = codeOfRefusal[refusal.reason];
  if (code === "account_frozen") return new GatewayError(code, "The account is frozen. Nothing was charged.");
  if (code === "model_not_priced") {
    return new GatewayError(code, "The model has no price in the account's currency. Nothing was charged.");
  }
  const [available, required] = [formatUnits(refusal.availableNanos), formatUnits(refusal.requiredNanos)];
  const refused = { refusal, asked };
  const { spend } = refusal;
  if (spend !== undefined) {
    const [limit, drawn, reserved] = [spend.limitNanos, spend.drawnNanos, spend.reservedNanos].map(formatUnits);
    return new GatewayError(
      code,
      `The key's limit of ${limit} a ${spend.period} does not cover this request: ${required} may be needed, ${drawn} is spent and ${reserved} is set aside. Nothing was charged.`,
      {
        fields: { limit: limit ?? "", period: spend.period, spent: drawn ?? "", reserved: reserved ?? "", required },
        refused,
      },
    );
  }
  return new GatewayError(
    code,
    `The balance does not cover this request: ${required} may be needed, ${available} is available. Nothing was charged.`,
    {
      fields: { balance: formatUnits(refusal.balanceNanos), held: formatUnits(refusal.heldNanos), available, required },
      refused,
    },
  );
}

export type ErrorReply = { status: number; headers: Record<string, string>; body: Record<string, unknown> };

/** Any thrown value as an answer. `path` decides the shape: under /v1/messages, Anthropic's `"type":"error"` stands beside it. */
export function errorReply(thrown: unknown, path: string): ErrorReply {
  const error = asGatewayError(thrown);
  const { status, type, headers } = answers[error.code];
  const body = { error: { message: error.message, type, param: null, code: error.code, ...error.fields } };
  return {
    status,
    headers: { ...headers, ...error.headers },
    body: path.startsWith("/v1/messages") ? { type: "error", ...body } : body,
  };
}

function asGatewayError(thrown: unknown): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  if (thrown instanceof BillingError) {
    return new GatewayError(codeOfBillingError[thrown.code], thrown.publicMessage, { cause: thrown });
  }
  const status = (thrown as { statusCode?: unknown }).statusCode;
  if (status === 413) return new GatewayError("body_too_large", "The body is larger than this gateway accepts.");
  if (typeof status === "number" && status >= 400 && status < 500) {
    return new GatewayError("invalid_request", "The request cannot be read.", { cause: thrown });
  }
  return new GatewayError("internal_error", "The gateway failed unexpectedly.", { cause: thrown });
}
