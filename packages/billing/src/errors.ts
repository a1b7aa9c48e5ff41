/**
 * The world failing is one class. What a caller may expect as an answer (refused, repeated, conflict) is a returned value, never
 * thrown. The codes are a closed union so that the tables that map them (HTTP, tRPC) do not compile until they know every one:
 * write such a table as `Record<BillingErrorCode, …>`.
 */
export type BillingErrorCode =
  | "redis_unavailable"
  | "postgres_unavailable"
  | "fenced"
  | "redis_memory"
  | "invalid_amount"
  | "invalid_request"
  | "model_not_priced"
  | "config";

/** Whether the same call can succeed later without being changed. */
const retryableByCode: Record<BillingErrorCode, boolean> = {
  redis_unavailable: true,
  postgres_unavailable: true,
  fenced: true,
  redis_memory: true,
  invalid_amount: false,
  invalid_request: false,
  model_not_priced: false,
  config: false,
};

export type BillingErrorOptions = {
  /** What went wrong underneath. Never shown to a client: a driver's message can name hosts and users. */
  cause?: unknown;
  /** For logs, where more may be said than to the client. Default: the public message. */
  message?: string;
};

/** `publicMessage` may be shown to any client; `message` and `cause` are for logs only. */
export class BillingError extends Error {
  readonly code: BillingErrorCode;
  readonly retryable: boolean;
  readonly publicMessage: string;

  constructor(code: BillingErrorCode, publicMessage: string, options: BillingErrorOptions = {}) {
    super(options.message ?? publicMessage, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "BillingError";
    this.code = code;
    this.retryable = retryableByCode[code];
    this.publicMessage = publicMessage;
  }
}
