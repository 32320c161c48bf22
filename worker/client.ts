/** Opens the WebSocket to a coordinator. The only file on this side that knows `ws`. */
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { ConfigError, describeError, ProtocolError } from '../protocol/errors.ts';
import { MAX_MESSAGE_BYTES } from '../protocol/wire/frame.ts';
import { LIMITS } from '../protocol/wire/limits.ts';
import { socketTransport } from '../protocol/wire/socket-transport.ts';
import type { Transport } from '../protocol/wire/transport.ts';

const RETRY_MS = 250;

/**
 * Connects to the URL that a coordinator printed, retrying while it refuses, for up to `LIMITS.connectMs`.
 *
 * Throws `ConfigError` for a URL that is none, `ProtocolError` ERR_CLOSED when the coordinator cannot be reached.
 */
export async function connectToCoordinator(url: string, signal: AbortSignal): Promise<Transport> {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol !== 'ws:') {
    throw new ConfigError(`${url}: not a join URL: expected ws://HOST:PORT, as the coordinator printed it`);
  }
  const deadlineMs = performance.now() + LIMITS.connectMs;
  for (;;) {
    try {
      return await openSocket(parsed, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      if (performance.now() + RETRY_MS > deadlineMs) {
        const seconds = LIMITS.connectMs / 1000;
        const message = `${url}: no coordinator answered within ${seconds} s (${describeError(error)}): is it running?`;
        throw new ProtocolError('ERR_CLOSED', message, { cause: error });
      }
      await delay(RETRY_MS, undefined, { signal });
    }
  }
}

function openSocket(url: URL, signal: AbortSignal): Promise<Transport> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, {
      // Gradients do not compress.
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE_BYTES,
      handshakeTimeout: LIMITS.handshakeMs,
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
      resolve(socketTransport(socket, stream, `coordinator ${url.host}`));
    });
  });
}
