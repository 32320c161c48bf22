/** Why a request of a subscriber has failed, in words for the user. */
import { describeError } from '../../protocol/errors.ts';

/** The longest that a subscriber waits for an answer: the run must not wait for those who look at it. */
export const LONGEST_REQUEST_MS = 5_000;

export const NO_ANSWER = `no answer within ${LONGEST_REQUEST_MS / 1000} s`;

/** The cause of what `fetch` or a timeout has thrown, without any URL: it may hold a secret. */
export function reasonOf(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') return NO_ANSWER;
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const { code } = cause as { code?: unknown };
  return typeof code === 'string' && /^E[A-Z]+$/.test(code)
    ? code
    : describeError(cause).replace(/https?:\/\/\S+/g, 'its URL');
}
