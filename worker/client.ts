/** Opens WebSockets, to a coordinator and to other workers. Beside `peer-server.ts` the only file here that knows `ws`. */
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { ConfigError, describeError, ProtocolError } from '../protocol/errors.ts';
import { MAX_MESSAGE_BYTES } from '../protocol/wire/frame.ts';
import { LIMITS } from '../protocol/wire/limits.ts';
import { socketTransport } from '../protocol/wire/socket-transport.ts';
import type { Transport } from '../protocol/wire/transport.ts';
import { pauseMs } from './reconnect.ts';
import { openTls } from './tls.ts';
import type { TlsTrust } from './tls.ts';

/** A connection that was opened here. */
export interface ClientTransport extends Transport {
  /** This machine's address on it. */
  readonly localAddress: string;
}

/**
 * Connects to the URL that a coordinator printed, without its token, retrying with growing pauses while it refuses, for
 * up to `patienceMs`.
 *
 * Throws `ConfigError` for a URL that is none or a certificate that is not trusted, `ProtocolError` ERR_CLOSED when the
 * coordinator cannot be reached.
 */
export async function connectToCoordinator(
  url: string,
  signal: AbortSignal,
  trust: TlsTrust = {},
  patienceMs: number = LIMITS.connectMs,
): Promise<ClientTransport> {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol !== 'ws:' && parsed?.protocol !== 'wss:') {
    throw new ConfigError(`${url}: not a join URL: expected ws://HOST:PORT or wss://, as the coordinator printed it`);
  }
  const deadlineMs = performance.now() + patienceMs;
  for (let attempt = 0; ; attempt++) {
    try {
      const stream = parsed.protocol === 'wss:' ? await openTls(parsed, trust, LIMITS.handshakeMs, signal) : undefined;
      return await openSocket(parsed, `coordinator ${parsed.host}`, LIMITS.handshakeMs, signal, stream);
    } catch (error) {
      if (signal.aborted || error instanceof ConfigError) throw error;
      const pause = pauseMs(attempt);
      if (performance.now() + pause > deadlineMs) {
        const seconds = (patienceMs / 1000).toFixed(0);
        const message = `${url}: no coordinator answered within ${seconds} s (${describeError(error)}): is it running?`;
        throw new ProtocolError('ERR_CLOSED', message, { cause: error });
      }
      await delay(pause, undefined, { signal });
    }
  }
}

/** Connects to another worker of the ring, once. Rejects when it does not answer within `LIMITS.peerConnectMs`. */
export async function connectToPeer(url: string): Promise<Transport> {
  if (!URL.canParse(url)) throw new ProtocolError('ERR_CLOSED', `${url} is no address`);
  const parsed = new URL(url);
  try {
    return await openSocket(parsed, `worker ${parsed.host}`, LIMITS.peerConnectMs, new AbortController().signal);
  } catch (error) {
    throw new ProtocolError('ERR_CLOSED', `${url} does not answer (${describeError(error)})`, { cause: error });
  }
}

/** Opens a WebSocket: on a connection of its own, or on one that is there. */
function openSocket(
  url: URL,
  peer: string,
  timeoutMs: number,
  signal: AbortSignal,
  connection?: Socket,
): Promise<ClientTransport> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, {
      // Gradients do not compress.
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE_BYTES,
      handshakeTimeout: timeoutMs,
      ...(connection && { createConnection: () => connection }),
      // Masks keep scripts in browsers from forging what old proxies understand. This is no browser and sends no
      // script's bytes, so a mask of zeros, which costs nothing to apply, is as safe as any.
      generateMask: (mask) => mask.fill(0),
    });
    const abort = () => socket.terminate();
    signal.addEventListener('abort', abort, { once: true });
    socket.once('error', reject);
    let stream!: Socket;
    socket.once('upgrade', (response) => (stream = response.socket));
    socket.once('open', () => {
      signal.removeEventListener('abort', abort);
      socket.off('error', reject);
      const transport = socketTransport(socket, stream, peer);
      resolve(Object.assign(transport, { localAddress: stream.localAddress ?? '127.0.0.1' }));
    });
  });
}
