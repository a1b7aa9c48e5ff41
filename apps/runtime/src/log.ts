/**
 * Logs are JSON on standard error, and hold no secret: every text of every line is looked through before it is written, because a
 * driver's message or a URL in an error can carry what nobody meant to log. There is no line per request or message on the hot path.
 */
import pino, { type Logger } from "pino";

export type { Logger };

const redacted = "[redacted]";
const urlPassword = /(\b[a-z][a-z0-9+.-]*:\/\/[^\s:/@]*:)[^\s@/]+(?=@)/gi;
/** `<virtual_key>.<secret>`: the secret of ours is 32 random bytes in base64url. */
const apiKeySecret = /(?<=[\w-]\.)[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])/g;
const bearer = /\b(Bearer\s+)[^\s"',]+/gi;
const providerKeyShape = /\bsk-[A-Za-z0-9_-]{8,}/g;
const secretField = /^(authorization|x-api-key|api[-_]?key|password|secret|cookie|set-cookie|token)$/i;
/** A shorter secret would black out ordinary words; none that is worth keeping is shorter. */
const shortestSecret = 4;

/** Replaces every secret in a text: the values given, passwords in URLs, API keys and bearer tokens. */
export function scrub(text: string, secrets: readonly string[]): string {
  let clean = text
    .replace(urlPassword, `$1${redacted}`)
    .replace(bearer, `$1${redacted}`)
    .replace(providerKeyShape, redacted)
    .replace(apiKeySecret, redacted);
  for (const secret of secrets) if (secret.length >= shortestSecret) clean = clean.replaceAll(secret, redacted);
  return clean;
}

/** A log on standard error. `secrets` are values that no line may hold. */
export function openLog(name: string, settings: { level: string; secrets: readonly string[] }): Logger {
  return pino(
    {
      name,
      level: settings.level,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: describeError },
      hooks: { streamWrite: (line) => scrubLine(line, settings.secrets) },
    },
    pino.destination({ fd: 2, sync: true }),
  );
}

/** The same failure again and again is said once in this time. */
const sayAgainMs = 10_000;

/** For what fails many times a second while a store is down: each failure is said at once, then every ten seconds. */
export function waitingLog(log: Logger): (error: unknown) => void {
  const lastSaidMs = new Map<string, number>();
  return (error) => {
    const key = error instanceof Error ? `${error.name} ${(error as NodeJS.ErrnoException).code}` : String(error);
    const now = performance.now();
    const said = lastSaidMs.get(key);
    if (said !== undefined && now - said < sayAgainMs) return;
    if (lastSaidMs.size > 100) lastSaidMs.clear();
    lastSaidMs.set(key, now);
    log.warn({ err: error }, "waiting; it is tried again until it succeeds");
  };
}

type DescribedError = { type: string; message: string; code?: string; stack?: string; cause?: DescribedError };

/** What an error is, and nothing of what drivers hang on to it: commands with their arguments, connections, whole requests. */
function describeError(error: unknown, depth = 0): DescribedError {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) };
  const { code } = error as NodeJS.ErrnoException;
  return {
    type: error.name,
    message: error.message,
    ...(typeof code === "string" ? { code } : {}),
    ...(error.stack === undefined ? {} : { stack: error.stack }),
    ...(error.cause === undefined || depth >= 4 ? {} : { cause: describeError(error.cause, depth + 1) }),
  };
}

/** Values only: a password that is also a field's name must not break the line. */
export function scrubLine(line: string, secrets: readonly string[]): string {
  const clean = (field: string, value: unknown): unknown => {
    if (typeof value !== "string") return value;
    if (secretField.test(field)) return redacted;
    return field === "level" || field === "time" ? value : scrub(value, secrets);
  };
  try {
    return `${JSON.stringify(JSON.parse(line, clean))}\n`;
  } catch {
    return `${scrub(line.trimEnd(), secrets)}\n`;
  }
}
