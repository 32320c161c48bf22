/** How a session begins: hello, the proof that both ends know the run's token, and the welcome. */
import { ProtocolError } from '../protocol/errors.ts';
import { AUTHENTICATION_CURE, createNonce, isProof, proofOf } from '../protocol/wire/authentication.ts';
import { LIMITS } from '../protocol/wire/limits.ts';
import type { MessageOf } from '../protocol/wire/messages.ts';
import { NO_PEER_LIMITS, STRANGER_LIMITS } from '../protocol/wire/peer-limits.ts';
import { receiveKind } from '../protocol/wire/transport.ts';
import type { Transport } from '../protocol/wire/transport.ts';

/**
 * Says hello and returns the welcome. With a token, a coordinator that does not prove that it knows it is left at once:
 * it learns a name and a nonce. Without one, any coordinator that asks for none is joined.
 *
 * Rejects with `ProtocolError` ERR_UNAUTHENTICATED, and as `receiveKind` does.
 */
export async function joinRun(
  transport: Transport,
  name: string,
  token: string | undefined,
): Promise<MessageOf<'welcome'>> {
  if (token === undefined) {
    transport.send({ kind: 'hello', name });
  } else {
    transport.limit(STRANGER_LIMITS);
    await authenticateCoordinator(transport, name, token);
    transport.limit(NO_PEER_LIMITS);
  }
  return receiveKind(transport, LIMITS.handshakeMs, 'welcome');
}

async function authenticateCoordinator(transport: Transport, name: string, token: string): Promise<void> {
  const workerNonce = createNonce();
  transport.send({ kind: 'hello', name, nonce: workerNonce });
  const answer = await receiveKind(transport, LIMITS.handshakeMs, 'challenge', 'welcome');
  if (answer.kind === 'welcome') {
    const message =
      'the coordinator asks for no token, but this worker has one: if it is the right coordinator, leave the token out';
    throw new ProtocolError('ERR_UNAUTHENTICATED', message);
  }
  const nonces = { worker: workerNonce, coordinator: answer.nonce };
  if (!isProof(answer.proof, token, 'coordinator', nonces)) {
    const message = 'the coordinator does not know the token that this worker has: ' + AUTHENTICATION_CURE;
    throw new ProtocolError('ERR_UNAUTHENTICATED', message);
  }
  transport.send({ kind: 'proof', proof: proofOf(token, 'worker', nonces) });
}
