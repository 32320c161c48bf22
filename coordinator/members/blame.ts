/** Putting an error down to the worker that caused it. */
import { ProtocolError } from '../../protocol/errors.ts';
import type { Member } from './member.ts';

/**
 * Runs `action`. A `ProtocolError` that it throws or rejects with is put down to the member, by name and step, and the
 * member's connection is ended with that reason; other errors pass.
 */
export async function blame<T>(member: Member, step: number | undefined, action: () => T | Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw asBlame(member, step, error);
  }
}

/** The same for what does not wait. */
export function blameNow<T>(member: Member, step: number | undefined, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw asBlame(member, step, error);
  }
}

/** The error as the member's, whose connection is ended with it; another error than a `ProtocolError` as it is. */
export function asBlame({ id, name, transport }: Member, step: number | undefined, error: unknown): unknown {
  if (!(error instanceof ProtocolError)) return error;
  const where = step === undefined ? '' : `, step ${step}`;
  const message = `worker ${name} (${id})${where}: ${error.message}`;
  const context = { worker: name, cause: error, ...(step === undefined ? {} : { step }) };
  const blamed = new ProtocolError(error.code, message, context);
  transport.close(blamed);
  return blamed;
}
