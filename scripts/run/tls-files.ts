/** The files and the fingerprint that TLS flags name, read and checked. */
import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { Option } from 'commander';
import type { ServerTls } from '../../coordinator/server/server.ts';
import { ConfigError, describeError } from '../../protocol/errors.ts';
import { readTextFile } from '../../protocol/text-files.ts';
import { plainFingerprint } from '../../worker/connection/tls.ts';
import type { TlsTrust } from '../../worker/connection/tls.ts';
import { flag } from '../flags/run-flags.ts';

export interface ServerTlsFlags {
  tlsCert?: string;
  tlsKey?: string;
}

export interface TrustFlags {
  tlsCa?: string;
  tlsFingerprint?: string;
}

export function serverTlsFlags(): readonly Option[] {
  return [
    flag('--tls-cert <file>', 'certificate in PEM, with its chain; workers then join by wss://'),
    flag('--tls-key <file>', "the certificate's private key, in PEM"),
  ];
}

export function trustFlags(): readonly Option[] {
  return [
    flag('--tls-ca <file>', "authority of the coordinator's certificate, in PEM. Default: the public authorities"),
    flag('--tls-fingerprint <sha256>', "sha256 of the coordinator's certificate, as it prints it"),
  ];
}

/**
 * The certificate and its key, and the certificate's sha256; undefined without the flags. Throws `ConfigError` when one
 * of the two is missing, cannot be read, or does not belong to the other.
 */
export function readServerTls(flags: ServerTlsFlags): (ServerTls & { readonly fingerprint: string }) | undefined {
  const { tlsCert, tlsKey } = flags;
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert === undefined) throw new ConfigError(`--tls-key ${tlsKey!} needs --tls-cert with its certificate`);
  if (tlsKey === undefined) throw new ConfigError(`--tls-cert ${tlsCert} needs --tls-key with its key`);
  const [cert, key] = [readPem('--tls-cert', tlsCert), readPem('--tls-key', tlsKey)];
  try {
    createSecureContext({ cert, key });
    return { cert, key, fingerprint: plainFingerprint(new X509Certificate(cert).fingerprint256) };
  } catch (error) {
    const problem = describeError(error);
    throw new ConfigError(`--tls-cert ${tlsCert} and --tls-key ${tlsKey}: no certificate with its key: ${problem}`);
  }
}

/** Whom a worker trusts; undefined without the flags. Throws `ConfigError`, also when the URL is none of TLS. */
export function readTrust({ tlsCa, tlsFingerprint }: TrustFlags, url: string): TlsTrust | undefined {
  if (tlsCa === undefined && tlsFingerprint === undefined) return undefined;
  const flagName = tlsCa === undefined ? '--tls-fingerprint' : '--tls-ca';
  if (!url.startsWith('wss:')) throw new ConfigError(`${flagName} with ${url}: expected a wss:// URL: leave it out`);
  return {
    ...(tlsCa !== undefined && { ca: readAuthority(tlsCa) }),
    ...(tlsFingerprint !== undefined && { fingerprint: readFingerprint(tlsFingerprint) }),
  };
}

function readAuthority(path: string): string {
  const pem = readPem('--tls-ca', path);
  try {
    new X509Certificate(pem);
  } catch (error) {
    throw new ConfigError(`--tls-ca ${path}: not a certificate in PEM: ${describeError(error)}`);
  }
  return pem;
}

function readFingerprint(text: string): string {
  const fingerprint = plainFingerprint(text);
  if (/^[0-9a-f]{64}$/.test(fingerprint)) return fingerprint;
  throw new ConfigError(`--tls-fingerprint ${text}: expected the 64 hexadecimal digits of a sha256`);
}

function readPem(flagName: string, path: string): string {
  return readTextFile(`${flagName} ${path}`, path);
}
