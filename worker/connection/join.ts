/** How a session begins: hello, proof of the run's token by both ends and of this worker's id, and the welcome. */
import { ProtocolError } from '../../protocol/errors.ts';
import { AUTHENTICATION_CURE, createNonce, isProof, proofOf } from '../../protocol/wire/authentication.ts';
import type { Nonces, WorkerIdentity } from '../../protocol/wire/authentication.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import { NO_PEER_LIMITS, STRANGER_LIMITS } from '../../protocol/wire/peer-limits.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import type { Transport } from '../../protocol/wire/transport.ts';

/** A coordinator that was said hello to, and has proved that it knows the token if there is one. */
export interface Greeted {
  /** What both ends prove with. */
  readonly nonces: Nonces;
}

/**
 * Says hello and returns the welcome, or the word that the run is over. With a token, a coordinator that does not prove
 * that it knows it is left at once: it learns a name, a nonce and an id. Without one, any coordinator that asks for none is
 * joined.
 *
 * - `identity`: whom this worker was on a connection before; proved to the coordinator, and for it to take up
 * - `greeted`: where hello was said before, by `greetCoordinator` with the same token and identity
 *
 * Rejects with `ProtocolError` ERR_UNAUTHENTICATED, and as `receiveKind` does.
 */
export async function joinRun(
  transport: Transport,
  name: string,
  token: string | undefined,
  identity?: WorkerIdentity,
  greeted?: Greeted,
): Promise<MessageOf<'welcome' | 'shutdown'>> {
  if (token === undefined && !identity) {
    transport.send({ kind: 'hello', name });
  } else {
    const { nonces } = greeted ?? (await greetCoordinator(transport, name, token, identity));
    transport.send({
      kind: 'proof',
      ...(token !== undefined && { proof: proofOf(token, 'worker', nonces) }),
      ...(identity && { returnProof: proofOf(identity.key, 'returning', nonces) }),
    });
    transport.limit(NO_PEER_LIMITS);
  }
  return receiveKind(transport, LIMITS.handshakeMs, 'welcome', 'shutdown');
}

/**
 * Says hello with a nonce, and demands proof of the token if there is one. Nothing is proved by this end: the coordinator
 * lets nobody in yet. Rejects as `joinRun`.
 */
export async function greetCoordinator(
  transport: Transport,
  name: string,
  token: string | undefined,
  identity: WorkerIdentity | undefined,
): Promise<Greeted> {
  if (token !== undefined) transport.limit(STRANGER_LIMITS);
  const workerNonce = createNonce();
  transport.send({ kind: 'hello', name, nonce: workerNonce, ...(identity && { returningAs: identity.id }) });
  const challenge = await receiveKind(transport, LIMITS.handshakeMs, 'challenge', 'welcome');
  if (challenge.kind === 'welcome') throw asksForNoToken();
  const nonces = { worker: workerNonce, coordinator: challenge.nonce };
  if (token !== undefined) checkCoordinator(challenge.proof, token, nonces);
  return { nonces };
}

/** Throws ERR_UNAUTHENTICATED when the coordinator has not proved that it knows the token. */
export function checkCoordinator(proof: string | undefined, token: string, nonces: Nonces): void {
  if (proof === undefined) throw asksForNoToken();
  if (isProof(proof, token, 'coordinator', nonces)) return;
  const message = 'the coordinator does not know the token that this worker has: ' + AUTHENTICATION_CURE;
  throw new ProtocolError('ERR_UNAUTHENTICATED', message);
}

export function asksForNoToken(): ProtocolError {
  const message =
    'the coordinator asks for no token, but this worker has one: if it is the right coordinator, leave the token out';
  return new ProtocolError('ERR_UNAUTHENTICATED', message);
}
