/** The public URL: where people reach a coordinator's pages when that is no address of its machine, such as the end of a tunnel. */
import { ConfigError } from '../../protocol/errors.ts';

export interface PublicUrl {
  /** With a slash at the end: "https://trainer.example/runs/7/". */
  readonly href: string;
  /** As browsers send it: "https://trainer.example". */
  readonly origin: string;
  /** Without the port, IPv6 in brackets: "trainer.example". */
  readonly hostname: string;
}

const EXPECTED =
  'expected the http:// or https:// URL by which people reach the dashboard, such as http://localhost:8080 or ' +
  'https://trainer.example/gradsock/';

/** Parses the text of `--public-url`. Throws `ConfigError`, which shows no user name and no password. */
export function parsePublicUrl(text: string): PublicUrl {
  if (/^https?:\/\/[^/]/i.test(text) && URL.canParse(text)) {
    const { origin, hostname, port, pathname, username, password } = new URL(text);
    if (username !== '' || password !== '') {
      throw new ConfigError('--public-url: expected a URL without user name and password: leave them out');
    }
    if (/[?#]/.test(text)) {
      throw new ConfigError(`--public-url ${text}: expected a URL without ? and #: leave out what is behind the path`);
    }
    const isReachable = port !== '0' && !['0.0.0.0', '[::]'].includes(hostname);
    if (isReachable && !/[\s\\]/.test(text)) {
      const href = `${origin}${pathname}${pathname.endsWith('/') ? '' : '/'}`;
      return { href, origin, hostname };
    }
  }
  throw new ConfigError(`--public-url ${text.replace(/\/\/.*@/s, '//')}: ${EXPECTED}`);
}
