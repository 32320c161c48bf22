/** The coordinator's side of what is proved before a worker is told anything: see `protocol/wire/authentication.ts`. */
import { ProtocolError } from '../../protocol/errors.ts';
import { AUTHENTICATION_CURE, createNonce, isProof, proofOf } from '../../protocol/wire/authentication.ts';
import { asKind, receiveKind } from '../../protocol/wire/transport.ts';
import type { Transport } from '../../protocol/wire/transport.ts';

export interface GreetingOptions {
  /** What a worker must prove to know. Default: every worker that says hello is let in. */
  readonly token?: string | undefined;
  /** The key of a worker's id; without it nobody is known again. */
  readonly keyOf?: (id: string) => string;
  /** To the hello, and from a challenge to its proof. */
  readonly handshakeMs: number;
}

export interface Greeting {
  readonly name: string;
  /** The id that the worker has proved to have had. One that it cannot prove makes it a worker like any new one. */
  readonly returningAs?: string;
  /** It is no worker: it wants to know what the run is. */
  readonly isExaminer?: true;
}

/**
 * Hears a worker's hello or an examiner's wish and, where there is something to prove, challenges it.
 *
 * Rejects with `ProtocolError` ERR_UNAUTHENTICATED for a hello without a nonce or a wrong proof of the token, and as
 * `receiveKind` does.
 */
export async function greetWorker(transport: Transport, options: GreetingOptions): Promise<Greeting> {
  const { token, keyOf, handshakeMs } = options;
  const first = asKind(await transport.receive(handshakeMs, 'hello'), ['hello', 'examine']);
  const isExaminer = first.kind === 'examine';
  const name = isExaminer ? `gradsock doctor ${first.program}` : first.name;
  const who = { name, ...(isExaminer && { isExaminer }) };
  const returningAs = isExaminer ? undefined : first.returningAs;
  if (token === undefined && returningAs === undefined) return who;
  if (first.nonce === undefined) throw unauthenticated(`${isExaminer ? 'an examination' : 'a hello'} without a token`);
  const nonces = { worker: first.nonce, coordinator: createNonce() };
  const ownProof = token === undefined ? {} : { proof: proofOf(token, 'coordinator', nonces) };
  transport.send({ kind: 'challenge', nonce: nonces.coordinator, ...ownProof });
  const { proof = '', returnProof = '' } = await receiveKind(transport, handshakeMs, 'proof');
  if (token !== undefined && !isProof(proof, token, isExaminer ? 'examiner' : 'worker', nonces)) {
    throw unauthenticated("the worker's token is not this run's");
  }
  const isReturn = returningAs !== undefined && keyOf && isProof(returnProof, keyOf(returningAs), 'returning', nonces);
  return { ...who, ...(isReturn && { returningAs }) };
}

function unauthenticated(why: string): ProtocolError {
  return new ProtocolError('ERR_UNAUTHENTICATED', `${why}: ${AUTHENTICATION_CURE}`);
}
