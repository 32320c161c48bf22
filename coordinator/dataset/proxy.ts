/** Which proxy a download goes through, by the environment, as curl and most programs read it. */
import { ConfigError } from '../../protocol/errors.ts';

/**
 * The proxy for an https URL: of `https_proxy`, `HTTPS_PROXY`, `all_proxy` and `ALL_PROXY` the first that is set, unless
 * `no_proxy` or `NO_PROXY` names the host; undefined for none.
 *
 * Throws `ConfigError` for one that is no http or https proxy. No message holds its user and password.
 */
export function proxyFor(url: URL, environment: NodeJS.ProcessEnv): URL | undefined {
  const names = ['https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY'];
  const name = names.find((candidate) => environment[candidate]);
  if (name === undefined || isExcepted(url, environment['no_proxy'] || environment['NO_PROXY'] || '')) return undefined;
  const text = environment[name]!;
  // As in curl, a proxy without a scheme is one of http.
  const withScheme = text.includes('://') ? text : `http://${text}`;
  const proxy = URL.canParse(withScheme) ? new URL(withScheme) : undefined;
  if (proxy && (proxy.protocol === 'http:' || proxy.protocol === 'https:')) return proxy;
  const got = proxy ? proxy.protocol.slice(0, -1) : 'something else';
  throw new ConfigError(`$${name}: expected the URL of an http or https proxy, got ${got}: correct or unset it`);
}

/** Entries are hosts, which stand for their subdomains too, with a port if need be; `*` is all hosts. */
function isExcepted({ hostname, port, protocol }: URL, noProxy: string): boolean {
  const ownPort = port || (protocol === 'https:' ? '443' : '80');
  return noProxy
    .split(/[\s,]+/)
    .filter(Boolean)
    .some((entry) => {
      if (entry === '*') return true;
      const [, host = '', entryPort] = /^(.*?)(?::(\d+))?$/.exec(entry.toLowerCase())!;
      if (entryPort !== undefined && entryPort !== ownPort) return false;
      const plain = host.replace(/^\*?\./, '');
      return hostname === plain || hostname.endsWith(`.${plain}`);
    });
}
