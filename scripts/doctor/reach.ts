/** The first packets to a coordinator: TCP connections, the certificate behind them, and an answer in HTTP. */
import { request } from 'node:http';
import { connect, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describeError } from '../../protocol/errors.ts';

/** For each: what takes longer is as good as lost to a worker, too. */
export const REACH_MS = 5000;

export const portOf = (url: URL): number => Number(url.port || (url.protocol === 'wss:' ? 443 : 80));

/** Why a port was not reached, so that the cure can be told. */
export type Unreached = 'refused' | 'silent' | 'no route' | 'other';

export type Reached =
  | { readonly address: string; readonly ms: number }
  | { readonly address: string; readonly why: Unreached; readonly message: string };

/** Connects, and hangs up. Never rejects. */
export function reachPort(address: string, port: number, timeoutMs = REACH_MS): Promise<Reached> {
  return new Promise((resolve) => {
    const startMs = performance.now();
    const socket = connect({ host: address, port });
    const settle = (found: Reached) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(found);
    };
    const timer = setTimeout(() => {
      settle({ address, why: 'silent', message: `no answer within ${timeoutMs / 1000} s` });
    }, timeoutMs);
    socket.once('connect', () => settle({ address, ms: performance.now() - startMs }));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      settle({ address, why: reasonOf(error.code), message: describeError(error) });
    });
  });
}

function reasonOf(code: string | undefined): Unreached {
  if (code === 'ECONNREFUSED') return 'refused';
  if (code === 'ETIMEDOUT') return 'silent';
  return code === 'ENETUNREACH' || code === 'EHOSTUNREACH' || code === 'EADDRNOTAVAIL' ? 'no route' : 'other';
}

export interface ShownCertificate {
  /** sha256, 64 lower-case digits. */
  readonly fingerprint: string;
  readonly validFrom: Date;
  readonly validTo: Date;
}

/** The certificate that a server shows. Its signature is not checked. Rejects where the server shows none in time. */
export function readCertificate(url: URL, address: string): Promise<ShownCertificate> {
  return new Promise((resolve, reject) => {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const name = isIP(host) === 0 ? { servername: host } : {};
    const socket = connectTls({ host: address, port: portOf(url), ...name, rejectUnauthorized: false });
    const timer = setTimeout(() => socket.destroy(new Error(`no TLS within ${REACH_MS / 1000} s`)), REACH_MS);
    socket.once('close', () => clearTimeout(timer));
    socket.on('error', reject);
    socket.once('secureConnect', () => {
      const { fingerprint256, valid_from: validFrom, valid_to: validTo } = socket.getPeerCertificate();
      const fingerprint = fingerprint256.replaceAll(':', '').toLowerCase();
      resolve({ fingerprint, validFrom: new Date(validFrom), validTo: new Date(validTo) });
      socket.destroy();
    });
  });
}

export interface HttpAnswer {
  readonly status: number;
  readonly location: string | undefined;
  /** The server's clock, which has whole seconds; undefined where it is not told. */
  readonly date: number | undefined;
  /** Milliseconds from the request to the answer. */
  readonly ms: number;
}

/** Asks for `/healthz` below the URL's path. Rejects where there is no answer in HTTP in time. */
export function askHealth(url: URL, address: string, connection?: Socket): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const startMs = performance.now();
    const asked = request({
      host: address,
      port: portOf(url),
      path: `${url.pathname.replace(/\/$/, '')}/healthz`,
      headers: { host: url.host, connection: 'close' },
      ...(connection && { createConnection: () => connection }),
    });
    const timer = setTimeout(() => asked.destroy(new Error(`no answer within ${REACH_MS / 1000} s`)), REACH_MS);
    asked.once('close', () => clearTimeout(timer));
    asked.once('error', reject);
    asked.once('response', ({ statusCode = 0, headers }) => {
      const date = headers.date === undefined ? NaN : Date.parse(headers.date);
      const { location } = headers;
      resolve({
        ...{ status: statusCode, location, ms: performance.now() - startMs },
        date: Number.isNaN(date) ? undefined : date,
      });
      asked.destroy();
    });
    asked.end();
  });
}
