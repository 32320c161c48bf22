/** TLS to a coordinator: the connection is checked before anything is sent on it. */
import { isIP } from 'node:net';
import { connect } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { ConfigError, describeError } from '../../protocol/errors.ts';

/** Which certificate to accept: one that meets both conditions. Default: one of the system's authorities. */
export interface TlsTrust {
  /** PEM: authorities to trust in place of the system's. */
  readonly ca?: string;
  /** sha256 of the coordinator's own certificate, 64 hexadecimal digits, no matter who signed it. */
  readonly fingerprint?: string;
}

/** A certificate's sha256 in one form: 64 lower-case digits without colons. */
export function plainFingerprint(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toLowerCase();
}

/**
 * Connects to a wss:// URL, up to a certificate that is trusted.
 *
 * - `address`: the one to connect to, of those that the URL's host has
 *
 * Rejects with `ConfigError` when it is not, or the other end speaks no TLS; else as the system has it, also at the
 * deadline and with the signal.
 */
export function openTls(
  url: URL,
  address: string,
  trust: TlsTrust,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const { ca, fingerprint } = trust;
  const host = hostOf(url);
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: address,
      port: Number(url.port || 443),
      ...(isIP(host) === 0 && { servername: host }),
      ...(ca !== undefined && { ca }),
      ALPNProtocols: ['http/1.1'],
      // A certificate that is pinned needs no authority.
      rejectUnauthorized: fingerprint === undefined || ca !== undefined,
    });
    const timer = setTimeout(() => socket.destroy(new Error(`no TLS within ${timeoutMs / 1000} s`)), timeoutMs);
    const abort = () => socket.destroy(new Error('interrupted'));
    signal.addEventListener('abort', abort, { once: true });
    const settle = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    };
    const fail = (error: Error) => {
      settle();
      reject(asTrustProblem(error, socket, url));
    };
    socket.once('error', fail);
    if (signal.aborted) abort();
    socket.once('secureConnect', () => {
      const shown = plainFingerprint(socket.getPeerCertificate().fingerprint256);
      if (fingerprint !== undefined && shown !== fingerprint) {
        const cure = 'give the fingerprint that the coordinator printed; if this is it, someone else has answered';
        socket.destroy(
          new ConfigError(`--tls-fingerprint ${fingerprint}: ${url.host} has a certificate with ${shown}: ${cure}`),
        );
        return;
      }
      settle();
      socket.off('error', fail);
      resolve(socket);
    });
  });
}

/**
 * Whether the server of a URL answers a TLS handshake, whatever its certificate. Nothing is sent but the handshake's
 * beginning. False when it does not within `timeoutMs`.
 */
export function speaksTls(url: URL, address: string, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const host = hostOf(url);
    const name = isIP(host) === 0 ? { servername: host } : {};
    const socket = connect({ host: address, port: Number(url.port || 80), ...name, rejectUnauthorized: false });
    const settle = (answer: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => settle(false), timeoutMs);
    socket.on('error', ({ code }: NodeJS.ErrnoException) => settle(isTlsAlert(code)));
    socket.once('secureConnect', () => settle(true));
    socket.once('close', () => settle(false));
  });
}

/** Whether the other end has refused the handshake in TLS's own words. */
function isTlsAlert(code: string | undefined): boolean {
  return code !== undefined && /^ERR_SSL_.*ALERT/.test(code);
}

/** For `connect`, which knows no brackets. */
function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

/** Errors of a handshake to which something else than TLS was answered. */
const NO_TLS_CODES = [
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_UNKNOWN_PROTOCOL',
  'ERR_SSL_HTTP_REQUEST',
];

function asTrustProblem(error: Error & { code?: string }, socket: TLSSocket, { host }: URL): Error {
  if (socket.authorizationError as Error | null | undefined) {
    const cure = 'give --tls-ca FILE with its authority, or --tls-fingerprint as the coordinator printed it';
    return new ConfigError(`${host}: the coordinator's certificate is not trusted (${describeError(error)}): ${cure}`);
  }
  if (NO_TLS_CODES.includes(error.code ?? '')) {
    return new ConfigError(`${host}: the coordinator speaks no TLS: join with ws:// as it printed it`);
  }
  return error;
}
