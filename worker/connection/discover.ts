/** Finds a coordinator by mDNS, on networks that carry multicast. What it finds is not trusted: the token proves it. */
import { ConfigError, describeError, ProtocolError } from '../../protocol/errors.ts';
import { readAnnouncement, serviceName, SERVICE_TYPE } from '../../protocol/wire/discovery.ts';
import type { Announcement } from '../../protocol/wire/discovery.ts';

export interface DiscoverOptions {
  /** The one to find; undefined: the only one that there is. */
  readonly name: string | undefined;
  readonly patienceMs: number;
  /** Told what is waited for, where it takes a while. */
  readonly say: (line: string) => void;
  /** Milliseconds from the first that is found to the choice, so that others can be heard of. Default: 1500. */
  readonly settleMs?: number;
  /** Of `multicast-dns`. Default: the usual group and port, on the system's choice of interface. */
  readonly multicast?: object;
}

const SETTLE_MS = 1500;
/** Between two questions: a packet may be lost. */
const ASK_AGAIN_MS = 1000;

/**
 * Waits until a coordinator is announced.
 *
 * Rejects with `ConfigError`, which lists their names, where there are several and none was named, and where mDNS cannot be
 * had; with `ProtocolError` ERR_CLOSED at the deadline.
 */
export async function discover(options: DiscoverOptions): Promise<Announcement> {
  const { patienceMs, say, settleMs = SETTLE_MS, multicast = {} } = options;
  const name = options.name === undefined ? undefined : serviceName(options.name);
  const { Bonjour } = await import('bonjour-service');
  const found = new Map<string, Announcement>();
  return new Promise((resolve, reject) => {
    const timers: NodeJS.Timeout[] = [];
    const settle = (action: () => void) => {
      timers.forEach(clearTimeout);
      clearInterval(asking);
      bonjour.destroy();
      action();
    };
    const fail = (error: unknown) => {
      const cure = 'give the URL that the coordinator printed';
      settle(() => reject(new ConfigError(`--discover: mDNS cannot be used here (${describeError(error)}): ${cure}`)));
    };
    const choose = () => {
      const [only, ...others] = found.values();
      if (others.length === 0) settle(() => resolve(only!));
      else settle(() => reject(new ConfigError(severalOf([...found.values()]))));
    };
    const bonjour = new Bonjour(multicast, fail);
    const { server } = bonjour as unknown as { server: { mdns: NodeJS.EventEmitter } };
    server.mdns.on('error', fail);
    server.mdns.on('warning', () => {});
    const browser = bonjour.find({ type: SERVICE_TYPE }, (service) => {
      const announced = readAnnouncement(service.name, (service.txt ?? {}) as Record<string, unknown>);
      if (!announced) return;
      found.set(announced.name, announced);
      if (announced.name === name) settle(() => resolve(announced));
      else if (name === undefined && found.size === 1) timers.push(setTimeout(choose, settleMs));
    });
    const asking = setInterval(() => browser.update(), ASK_AGAIN_MS);
    const what = name === undefined ? 'a coordinator' : `the coordinator ${name}`;
    timers.push(
      setTimeout(() => say(`looking for ${what} by mDNS, for up to ${patienceMs / 1000} s`), 2 * settleMs),
      setTimeout(() => settle(() => reject(notFound(what, patienceMs, [...found.keys()]))), patienceMs),
    );
  });
}

function severalOf(found: readonly Announcement[]): string {
  const list = found.map(({ name, urls, version }) => `  ${name}  ${urls[0]!}  gradsock ${version}`);
  return ['--discover: expected one coordinator, found several: name one by --discover NAME', ...list].join('\n');
}

function notFound(what: string, patienceMs: number, names: readonly string[]): ProtocolError {
  const others = names.length === 0 ? '' : `, only ${names.join(', ')}`;
  const cure = 'start the coordinator with --discover, on the same network; or give the URL that it printed';
  return new ProtocolError(
    'ERR_CLOSED',
    `--discover: ${what} was not found within ${patienceMs / 1000} s${others}: ${cure}`,
  );
}
