/** Putting an error down to the worker that caused it. */
import { ProtocolError } from '../../protocol/errors.ts';
import type { Member } from './member.ts';

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
