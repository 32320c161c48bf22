/** Opens WebSockets, to a coordinator and to other workers. Beside `peer-server.ts` the only file here that knows `ws`. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import { ConfigError, describeError, ProtocolError } from '../../protocol/errors.ts';
import { MAX_MESSAGE_BYTES } from '../../protocol/wire/frame.ts';
import { isWebSocketUrl } from '../../protocol/wire/join-url.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import { socketTransport } from '../../protocol/wire/socket-transport.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { addressesOf } from './host-addresses.ts';
import type { Lookup } from './host-addresses.ts';
import { AllFailed, raceAttempts } from './race.ts';
import { isLost } from './reconnect.ts';
import { openTls, speaksTls } from './tls.ts';
import type { TlsTrust } from './tls.ts';
import { NotYet, waitFor } from './waiting.ts';
import type { WaitOptions } from './waiting.ts';

/** A connection that was opened here. */
export interface ClientTransport extends Transport {
  /** This machine's address on it. */
  readonly localAddress: string;
}

/**
 * Connects to a coordinator, and waits for one that is not there yet.
 *
 * - `url`: as the coordinator printed it, without a token
 *
 * Rejects as {@link openCoordinator} and {@link waitFor} do.
 */
export function connectToCoordinator(
  url: string,
  signal: AbortSignal,
  trust: TlsTrust = {},
  wait: Partial<WaitOptions> = {},
): Promise<ClientTransport> {
  return waitFor(() => openCoordinator(url, signal, trust), { patienceMs: LIMITS.connectMs, ...wait, signal });
}

/**
 * Connects to a coordinator, once: by all addresses of its name, 250 ms apart, of which the first that answers is taken.
 *
 * Rejects with `NotYet` when none answers; with `ConfigError` for what another attempt does not mend: a URL that is none,
 * a certificate that is not trusted, ws:// where TLS is spoken and the reverse, a redirect; with any error once `signal` is
 * aborted.
 */
export async function openCoordinator(
  url: string,
  signal: AbortSignal,
  trust: TlsTrust = {},
): Promise<ClientTransport> {
  const addresses = await coordinatorAddresses(url);
  const attempts = addresses.map((address) => (stop: AbortSignal) => openAddress(url, address, stop, trust));
  if (attempts.length === 1) return attempts[0]!(signal);
  return raceAttempts(attempts, { signal, discard: (late) => late.close() }).catch((error: unknown) => {
    throw combineFailures([url], error);
  });
}

/** The addresses of a URL's host. Rejects with `NotYet` when they are not known, with `ConfigError` for what is no URL. */
export async function coordinatorAddresses(url: string, lookup?: Lookup): Promise<string[]> {
  if (!isWebSocketUrl(url)) {
    throw new ConfigError(`${url}: not a join URL: expected ws://HOST:PORT or wss://, as the coordinator printed it`);
  }
  return addressesOf(new URL(url).hostname, LIMITS.handshakeMs, lookup).catch((error: unknown) => {
    throw notThere(url, error);
  });
}

/** Connects to a coordinator, once, by one address of its name. Rejects as {@link openCoordinator}. */
export async function openAddress(
  url: string,
  address: string,
  signal: AbortSignal,
  trust: TlsTrust = {},
): Promise<ClientTransport> {
  const parsed = new URL(url);
  try {
    const timeout = LIMITS.handshakeMs;
    const isTls = parsed.protocol === 'wss:';
    const stream = isTls ? await openTls(parsed, address, trust, timeout, signal) : undefined;
    const connection = () => stream ?? connect({ host: address, port: Number(parsed.port || 80), timeout });
    return await openSocket(parsed, `coordinator ${parsed.host}`, timeout, signal, connection);
  } catch (error) {
    if (signal.aborted || error instanceof ConfigError) throw error;
    if (parsed.protocol === 'ws:' && mayBeTls(error) && (await speaksTls(parsed, address, LIMITS.tlsProbeMs))) {
      const shown = shownUrl(parsed);
      const secure = shown.replace(/^ws:/, 'wss:');
      const cure = `join with ${secure}, and --tls-fingerprint or --tls-ca as the coordinator printed it`;
      throw new ConfigError(`${shown}: the coordinator speaks TLS, which ws:// does not: ${cure}`);
    }
    throw notThere(url, error);
  }
}

function notThere(url: string, error: unknown): NotYet {
  const cure = 'is it running, and can it be reached from here?';
  return new NotYet(`a coordinator at ${shownUrl(new URL(url))}`, describeError(error), cure);
}

/**
 * One error for those of several attempts to find one coordinator, at these URLs. While any of them may find it later, it
 * is waited for: then this is a `NotYet` that says of each why it failed.
 */
export function combineFailures(urls: readonly string[], failure: unknown): unknown {
  if (!(failure instanceof AllFailed)) return failure;
  const { errors } = failure;
  const text = [...new Set(errors.map(describeError))].join('; ');
  const first = errors.find((error) => error instanceof NotYet || isLost(error));
  if (first !== undefined) {
    const where = urls.map((url) => shownUrl(new URL(url))).join(' or ');
    return new NotYet(`a coordinator at ${where}`, text, 'is it running, and can it be reached from here?');
  }
  const [last] = errors;
  if (last instanceof ConfigError) return new ConfigError(text, { cause: failure });
  return last instanceof ProtocolError ? new ProtocolError(last.code, text, { cause: failure }) : last;
}

/** Without what a URL may have that is for the server alone: a name and password, a query. */
export function shownUrl({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`;
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

/** An HTTP answer in place of the upgrade to a WebSocket. */
class NoUpgrade extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`it answered with HTTP status ${status} in place of a WebSocket`);
    this.status = status;
  }
}

/** Opens a WebSocket, on the connection that `connection` makes. Rejects with `ConfigError` for a redirect. */
function openSocket(
  url: URL,
  peer: string,
  timeoutMs: number,
  signal: AbortSignal,
  connection?: () => Socket,
): Promise<ClientTransport> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, {
      // Gradients do not compress.
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE_BYTES,
      handshakeTimeout: timeoutMs,
      ...(connection && { createConnection: connection as typeof connect }),
      // Masks keep scripts in browsers from forging what old proxies understand. This is no browser and sends no
      // script's bytes, so a mask of zeros, which costs nothing to apply, is as safe as any.
      generateMask: (mask) => mask.fill(0),
    });
    const abort = () => socket.terminate();
    signal.addEventListener('abort', abort, { once: true });
    const fail = (error: Error) => {
      signal.removeEventListener('abort', abort);
      reject(error);
    };
    socket.on('error', fail);
    if (signal.aborted) abort();
    let stream!: Socket;
    socket.once('upgrade', (response) => (stream = response.socket));
    socket.once('unexpected-response', (_request, { statusCode = 0, headers }) => {
      fail(redirectOf(url, statusCode, headers.location) ?? new NoUpgrade(statusCode));
      socket.terminate();
    });
    socket.once('open', () => {
      signal.removeEventListener('abort', abort);
      socket.off('error', fail);
      const transport = socketTransport(socket, stream, peer);
      resolve(Object.assign(transport, { localAddress: stream.localAddress ?? '127.0.0.1' }));
    });
  });
}

/**
 * The error for a redirect, as of a proxy that knows a path only with its last slash; undefined for another answer. It is
 * not followed: which server a worker proves itself to is its user's choice.
 */
function redirectOf(url: URL, status: number, location: string | undefined): ConfigError | undefined {
  if (status < 300 || status > 399 || location === undefined || !URL.canParse(location, url.href)) return undefined;
  const target = new URL(location, url);
  target.protocol = ['https:', 'wss:'].includes(target.protocol) ? 'wss:' : 'ws:';
  const cure = `if that is the coordinator, join with ${shownUrl(target)}`;
  return new ConfigError(`${shownUrl(url)}: the server redirects to ${shownUrl(target)}: ${cure}`);
}

/** Whether a connection failed in a way in which one without TLS fails where TLS is expected. */
function mayBeTls(error: unknown): boolean {
  // A proxy that expects TLS says so in HTTP, with status 400.
  if (error instanceof NoUpgrade) return error.status === 400;
  const { code = '' } = error as { code?: string };
  return code === 'ECONNRESET' || code === 'EPIPE' || code.startsWith('HPE_');
}
