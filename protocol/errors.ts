/**
 * The three kinds of error: the user's (`ConfigError`), a peer's (`ProtocolError`), and ours (`internalError`).
 *
 * Messages follow one form: the subject, what was expected, what was found, and the cure.
 */

/** A mistake in what the user asked for. Names the flag, file or value and the cure; the program exits with 2. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(message: string, options?: ErrorOptions) {
    super(printableLines(message), options);
  }
}

/** Stable codes of {@link ProtocolError}; documented in `protocol/README.md`. */
export const PROTOCOL_ERROR_CODES = [
  'ERR_BAD_MAGIC',
  'ERR_VERSION_MISMATCH',
  'ERR_UNKNOWN_KIND',
  'ERR_MALFORMED_FRAME',
  'ERR_MALFORMED_HEADER',
  'ERR_FRAME_TOO_LARGE',
  'ERR_SHAPE_MISMATCH',
  'ERR_UNEXPECTED_MESSAGE',
  'ERR_STALE_RESULT',
  'ERR_DATASET_MISMATCH',
  'ERR_STATE_MISMATCH',
  'ERR_NOT_FINITE',
  'ERR_RUN_FULL',
  'ERR_TIMEOUT',
  'ERR_CLOSED',
  'ERR_CONFIG',
  'ERR_ENGINE',
  'ERR_LEFT',
  'ERR_PEER_LOST',
  'ERR_PEER_REFUSED',
  'ERR_UNAUTHENTICATED',
  'ERR_TOO_MANY_MESSAGES',
  'ERR_SEND_QUEUE_FULL',
  'ERR_REPLACED',
] as const;

export type ProtocolErrorCode = (typeof PROTOCOL_ERROR_CODES)[number];

export interface ProtocolErrorContext {
  /** Id or address of the worker at fault, if one is. */
  readonly worker?: string;
  readonly step?: number;
  readonly cause?: unknown;
}

/**
 * A peer broke the protocol, or the connection to it broke. `code` is stable; the message is for people: one line without
 * control characters, whatever the peer has said.
 */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly code: ProtocolErrorCode;
  readonly worker: string | undefined;
  readonly step: number | undefined;

  constructor(code: ProtocolErrorCode, message: string, context: ProtocolErrorContext = {}) {
    super(printable(message), context.cause === undefined ? undefined : { cause: context.cause });
    this.code = code;
    this.worker = context.worker;
    this.step = context.step;
  }
}

/** An error of our own making: never caught on purpose, it should crash loudly. */
export function internalError(message: string): Error {
  return new Error(`internal: ${message}`);
}

/** The message of anything thrown. */
export function describeError(error: unknown): string {
  // A name with several addresses fails with one error for each, and no message of its own.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(describeError).join(', ');
  return error instanceof Error ? error.message : String(error);
}

/**
 * Text that others wrote, for a terminal or a log: each run of control characters, which could write anything there,
 * becomes a space. So do the marks that reverse the order of what is shown, and line separators.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]+/gu, ' ');
}

/** The same for text of several lines. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}
