/** The way to a coordinator: its name, its port on every address, the certificate, and the clock at the other end. */
import { formatDuration, formatMs } from '../../coordinator/reporting/text.ts';
import { isLoopback } from '../../coordinator/server/server.ts';
import { countOf } from '../../protocol/counts.ts';
import { ConfigError, describeError } from '../../protocol/errors.ts';
import { hostAndPort } from '../../protocol/wire/join-url.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import { shownUrl } from '../../worker/connection/client.ts';
import { addressesOf } from '../../worker/connection/host-addresses.ts';
import type { Lookup } from '../../worker/connection/host-addresses.ts';
import { openTls, speaksTls } from '../../worker/connection/tls.ts';
import type { TlsTrust } from '../../worker/connection/tls.ts';
import { checksOf } from './check.ts';
import type { Tell } from './check.ts';
import { askHealth, portOf, REACH_MS, reachPort, readCertificate } from './reach.ts';
import type { HttpAnswer, Reached, ShownCertificate, Unreached } from './reach.ts';

/** A certificate that is about to expire. */
const EXPIRES_SOON_DAYS = 7;
const DAY_MS = 24 * 3600 * 1000;
/** Beyond it certificates may be taken for expired, and records of two machines do not fit together. */
const CLOCK_LIMIT_MS = 5000;

const CURES: Readonly<Record<Unreached, string>> = {
  refused:
    'nothing listens there: start the coordinator, compare the port, and let it --listen on more than loopback: ' +
    '--listen 0.0.0.0:7878',
  silent:
    'a firewall may drop packets: open this TCP port on the way to the coordinator; or the address is another machine',
  'no route': 'this machine has no way to that address: check its network, or give another address of the coordinator',
  other: 'check the address and the network',
};

export interface WayOptions {
  readonly tell: Tell;
  readonly signal: AbortSignal;
  /** Default: the system's. */
  readonly lookup?: Lookup | undefined;
  /** This machine's clock, as `Date.now`. */
  readonly now: () => number;
}

/** Where a coordinator answered. */
export interface OpenWay {
  readonly url: string;
  readonly address: string;
}

/** Looks up every URL's host and tries its port on every address. Returns the first that answers. */
export async function findWay(urls: readonly string[], { tell, lookup }: WayOptions): Promise<OpenWay | undefined> {
  const { ok, fail } = checksOf('way', tell);
  const found: { readonly url: string; readonly reached: readonly Reached[] }[] = [];
  for (const url of urls) {
    const parsed = new URL(url);
    try {
      const addresses = await addressesOf(parsed.hostname, REACH_MS, lookup);
      const isPlain = hostAndPort(addresses[0]!, 0) === `${parsed.hostname}:0`;
      ok('name', isPlain ? `${parsed.hostname} is an address` : `${parsed.hostname} is ${addresses.join(', ')}`);
      found.push({ url, reached: await Promise.all(addresses.map((address) => reachPort(address, portOf(parsed)))) });
    } catch (error) {
      const cure = "give the coordinator's address in place of its name, or have the name known: DNS, /etc/hosts";
      fail('name', `${parsed.hostname} has no address here (${describeError(error)})`, { cure });
    }
  }
  const all = found.flatMap(({ url, reached }) => reached.map((one) => ({ url, one })));
  const open = all.find(({ one }) => 'ms' in one);
  for (const { url, one } of all) tellPort(tell, one, portOf(new URL(url)), open !== undefined);
  return open && { url: open.url, address: open.one.address };
}

/** One address of several that does not answer is a warning: a worker finds another. */
function tellPort(tell: Tell, reached: Reached, port: number, isOpenElsewhere: boolean): void {
  const { ok, warn, fail } = checksOf('way', tell);
  const where = hostAndPort(reached.address, port);
  if ('ms' in reached) {
    ok('port', `${where} takes connections, in ${formatMs(reached.ms)}`, { figures: { connectMs: reached.ms } });
    return;
  }
  const say = isOpenElsewhere ? warn : fail;
  const text = { refused: 'refuses connections', silent: `does not answer (${reached.message})` };
  const { why, message } = reached;
  say('port', `${where} ${why === 'refused' || why === 'silent' ? text[why] : `cannot be reached (${message})`}`, {
    cure: CURES[why],
  });
}

/** Whether a worker could go on to the WebSocket: TLS is as the URL says, and HTTP is spoken. */
export async function examineServer(
  { url, address }: OpenWay,
  trust: TlsTrust | undefined,
  options: WayOptions,
): Promise<boolean> {
  const parsed = new URL(url);
  const isTls = parsed.protocol === 'wss:';
  if (isTls && !(await examineCertificate(parsed, address, trust, options))) return false;
  const { ok, warn, fail, skip } = checksOf('way', options.tell);
  let answer: HttpAnswer;
  try {
    const connection = isTls ? await openTls(parsed, address, trust ?? {}, REACH_MS, options.signal) : undefined;
    answer = await askHealth(parsed, address, connection);
  } catch (error) {
    if (!isTls && (await speaksTls(parsed, address, LIMITS.tlsProbeMs))) {
      const secure = shownUrl(parsed).replace(/^ws:/, 'wss:');
      const cure = `use ${secure}, with --tls-fingerprint or --tls-ca as the coordinator printed it`;
      fail('TLS', 'the coordinator speaks TLS, which ws:// does not', { cure });
    } else {
      fail('HTTP', `no answer in HTTP (${describeError(error)})`, {
        cure: 'another program listens there: compare the port',
      });
    }
    return false;
  }
  if (!isTls) {
    const isLocal = isLoopback({ host: address, port: 0 });
    ok('TLS', isLocal ? 'none: what is sent stays on this machine' : 'none: what is sent can be read on the way');
  }
  const { status, location } = answer;
  if (status >= 300 && status < 400) {
    fail('HTTP', `the server redirects to ${location ?? 'nowhere'}`, { cure: "use the coordinator's own address" });
    return false;
  }
  if (status === 200) ok('HTTP', 'answers');
  else
    warn('HTTP', `/healthz is answered with status ${status}`, {
      cure: 'is that a coordinator, or a proxy without one?',
    });
  if (answer.date === undefined) skip('clock', 'the server does not tell its time');
  else examineClock(answer.date, answer.ms, options);
  return true;
}

/** Whether the certificate is trusted, as a worker with these flags would trust it. */
async function examineCertificate(
  url: URL,
  address: string,
  trust: TlsTrust | undefined,
  { tell, signal, now }: WayOptions,
): Promise<boolean> {
  const { ok, fail } = checksOf('way', tell);
  // Where there is none, the next attempt says why in the words of a worker.
  const shown = await readCertificate(url, address).catch(() => undefined);
  if (shown) tellCertificate(shown, now(), tell);
  try {
    (await openTls(url, address, trust ?? {}, REACH_MS, signal)).destroy();
  } catch (error) {
    const [text, cure] = splitCure(error);
    fail('TLS', text, { cure });
    return false;
  }
  const by = [trust?.fingerprint !== undefined && '--tls-fingerprint', trust?.ca !== undefined && '--tls-ca'];
  ok('TLS', `trusted by ${by.filter(Boolean).join(' and ') || 'a public authority'}`);
  return true;
}

/** Its dates, against this machine's clock. */
function tellCertificate({ fingerprint, validFrom, validTo }: ShownCertificate, nowMs: number, tell: Tell): void {
  const { ok, warn, fail } = checksOf('way', tell);
  const days = Math.floor((validTo.getTime() - nowMs) / DAY_MS);
  const figures = { fingerprint, validTo: validTo.toISOString(), daysLeft: days };
  const until = `valid until ${validTo.toISOString().slice(0, 10)}`;
  if (validFrom.getTime() > nowMs) {
    const cure = "compare this machine's clock, or make a new certificate";
    fail('certificate', `not valid before ${validFrom.toISOString().slice(0, 10)}`, { cure, figures });
  } else if (days < 0) {
    fail('certificate', `expired: it was ${until}`, { cure: 'give the coordinator a new one', figures });
  } else {
    const say = days < EXPIRES_SOON_DAYS ? warn : ok;
    const cure = say === warn ? { cure: 'give the coordinator a new one soon' } : {};
    say('certificate', `sha256 ${fingerprint}, ${until}, ${countOf(days, 'day')} left`, { ...cure, figures });
  }
}

/** Errors end with what to do. */
export function splitCure(error: unknown): [text: string, cure: string | undefined] {
  const message = describeError(error);
  const at = message.lastIndexOf(': ');
  return error instanceof ConfigError && at !== -1
    ? [message.slice(0, at), message.slice(at + 2)]
    : [message, undefined];
}

/** `date`: the server's time, cut to whole seconds, of an answer that took `ms`. */
function examineClock(date: number, ms: number, { tell, now }: WayOptions): void {
  const { ok, warn } = checksOf('way', tell);
  const offsetMs = now() - ms / 2 - (date + 500);
  const figures = { clockOffsetSeconds: Math.round(offsetMs / 1000) };
  if (Math.abs(offsetMs) <= CLOCK_LIMIT_MS) {
    const bound = Math.max(1, Math.ceil((Math.abs(offsetMs) + 500) / 1000));
    ok('clock', `within ${bound} s of the coordinator's`, { figures });
    return;
  }
  const direction = offsetMs > 0 ? 'ahead of' : 'behind';
  warn('clock', `this machine is ${formatDuration(Math.abs(offsetMs) / 1000)} ${direction} the coordinator`, {
    cure:
      'set both clocks by NTP: certificates are judged by the clock, and times of records and traces do not fit ' +
      'together; the token and the training do not depend on it',
    figures,
  });
}
