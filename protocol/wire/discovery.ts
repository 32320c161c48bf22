/**
 * Discovery: what a coordinator announces of itself by mDNS (RFC 6762, 6763) and a worker reads. Anyone on the network can
 * read it and announce the same: no secret is in it, and nothing in it is trusted. What is found is then proved by the token.
 */
import { printable } from '../errors.ts';
import { isWebSocketUrl } from './join-url.ts';

/** The type of the service: "_gradsock._tcp". */
export const SERVICE_TYPE = 'gradsock';

/** A label of DNS. */
const LONGEST_NAME = 63;
/** A TXT record's string has at most 255 bytes, its key and "=" among them. */
const LONGEST_TEXT = 200;
const MOST_URLS = 8;

export interface Announcement {
  /** As people call it, and as `--discover NAME` asks for it. */
  readonly name: string;
  /** All by which workers may reach the coordinator, without a token. */
  readonly urls: readonly string[];
  /** The program's version. */
  readonly version: string;
}

/** A name that a service can have: without dots, and not too long. */
export function serviceName(name: string): string {
  return name.replaceAll('.', '-').slice(0, LONGEST_NAME);
}

/** The fields of the TXT record: "version", "url1", "url2", ... */
export function textOf({ urls, version }: Omit<Announcement, 'name'>): Record<string, string> {
  const short = urls.filter((url) => url.length <= LONGEST_TEXT).slice(0, MOST_URLS);
  return { version, ...Object.fromEntries(short.map((url, nth) => [`url${nth + 1}`, url])) };
}

/** What somebody has announced, made fit to be shown; undefined where it names no URL. */
export function readAnnouncement(name: string, text: Readonly<Record<string, unknown>>): Announcement | undefined {
  const field = (key: string): string =>
    typeof text[key] === 'string' ? printable(text[key]).slice(0, LONGEST_TEXT) : '';
  const urls = Array.from({ length: MOST_URLS }, (_, nth) => field(`url${nth + 1}`)).filter(
    (url) => isWebSocketUrl(url) && !url.includes('#'),
  );
  if (urls.length === 0) return undefined;
  return { name: printable(name).slice(0, LONGEST_NAME), urls, version: field('version') || 'unknown' };
}
