/** Join URLs: where a run's workers connect, and in the fragment, which never leaves a program, the token. */
import { isIPv6 } from 'node:net';

/** "ws://HOST:PORT" and the token, if there is one: "ws://HOST:PORT/#TOKEN", as a join file holds them. */
export function joinUrlOf(url: string, token: string | undefined): string {
  return token === undefined ? url : `${url}/#${token}`;
}

/** The two parts of a join URL. Any text has them: nothing of the URL is checked. */
export function splitJoinUrl(joinUrl: string): { readonly url: string; readonly token: string | undefined } {
  const [url, ...fragment] = joinUrl.split('#');
  return { url: url!, token: fragment.length > 0 ? fragment.join('#') : undefined };
}

/** Whether a text is a URL that a worker can connect to: ws:// or wss://, with a host. */
export function isWebSocketUrl(text: string): boolean {
  return /^wss?:\/\//i.test(text) && URL.canParse(text);
}

/** "10.0.0.1:7878", "trainer:7878", and for IPv6, whose own colons call for brackets, "[::1]:7878". */
export function hostAndPort(host: string, port: number): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}
