/**
 * View access: who may look at a run without taking part in it.
 *
 * The view key is derived from the run's token, so that serving and reading a run's pages needs no second secret, and
 * so that a program that only looks does not hold the token, with which it could join. Unlike the token it travels, in a
 * header: without TLS anyone on the way can read it, and can try tokens on it.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isOwnHost } from './origin.ts';
import type { OwnAddress } from './origin.ts';
import type { PublicUrl } from './public-url.ts';
import { isLoopback } from './server.ts';
import type { ListenAddress } from './server.ts';

/** `anyone`: who reaches the server, as it listens on a loopback address. */
export type ViewRule = 'anyone' | { readonly viewKey: string };

/** Why a request is not answered, with the status and the header that say so in HTTP. */
export interface ViewRefusal {
  readonly status: 401 | 405 | 421;
  readonly reason: string;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Whether pages ask for a view key: others than the users of this machine may reach them, by the address that is listened on,
 * or behind a public URL that is no loopback address.
 */
export function needsViewKey(address: ListenAddress, publicUrl: PublicUrl | undefined): boolean {
  return !isLoopback(address) || (publicUrl !== undefined && !isLoopback({ host: publicUrl.hostname, port: 0 }));
}

/** HMAC-SHA256(token, "gradsock view"): 64 hexadecimal digits. */
export function viewKeyOf(token: string): string {
  return createHmac('sha256', token).update('gradsock view').digest('hex');
}

/** Undefined where the request may be answered. */
export function refuseView(
  { method, headers }: Pick<IncomingMessage, 'method' | 'headers'>,
  own: OwnAddress,
  rule: ViewRule,
): ViewRefusal | undefined {
  if (method !== 'GET' && method !== 'HEAD') {
    return { status: 405, reason: `expected GET or HEAD, got ${method}`, headers: { allow: 'GET, HEAD' } };
  }
  if (!isOwnHost(headers.host, own)) {
    const reason =
      'the Host header names another server: use an address of this machine, or start it with --advertise or --public-url';
    return { status: 421, reason, headers: {} };
  }
  if (rule !== 'anyone' && !isKey(headers.authorization, rule.viewKey)) {
    const reason = "expected the run's view key: Authorization: Bearer KEY";
    return { status: 401, reason, headers: { 'www-authenticate': 'Bearer realm="gradsock view"' } };
  }
  return undefined;
}

/** Compares digests, which have one length, in a time that does not depend on where they differ. */
function isKey(authorization: string | undefined, viewKey: string): boolean {
  const given = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
  if (given === undefined) return false;
  const digestOf = (text: string) => createHmac('sha256', viewKey).update(text).digest();
  return timingSafeEqual(digestOf(given), digestOf(viewKey));
}
