/** The coordinator's side of the proof that both ends know the run's token: see `protocol/wire/authentication.ts`. */
import { ProtocolError } from '../protocol/errors.ts';
import { AUTHENTICATION_CURE, createNonce, isProof, proofOf } from '../protocol/wire/authentication.ts';
import { LIMITS } from '../protocol/wire/limits.ts';
import { receiveKind } from '../protocol/wire/transport.ts';
import type { Transport } from '../protocol/wire/transport.ts';

/**
 * Answers a hello's nonce with a challenge and awaits the worker's proof.
 *
 * Rejects with `ProtocolError` ERR_UNAUTHENTICATED for a hello without a nonce or a wrong proof, and as `receiveKind` does.
 */
export async function authenticateWorker(
  transport: Transport,
  token: string,
  workerNonce: string | undefined,
): Promise<void> {
  if (workerNonce === undefined) {
    throw new ProtocolError('ERR_UNAUTHENTICATED', `a hello without a token: ${AUTHENTICATION_CURE}`);
  }
  const nonces = { worker: workerNonce, coordinator: createNonce() };
  transport.send({ kind: 'challenge', nonce: nonces.coordinator, proof: proofOf(token, 'coordinator', nonces) });
  const { proof } = await receiveKind(transport, LIMITS.handshakeMs, 'proof');
  if (!isProof(proof, token, 'worker', nonces)) {
    throw new ProtocolError('ERR_UNAUTHENTICATED', `the worker's token is not this run's: ${AUTHENTICATION_CURE}`);
  }
}
