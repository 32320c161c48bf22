/**
 * Finds a run's coordinator, which may have several URLs and names with several addresses. All are tried, 250 ms apart, and
 * the first that connects and proves to know the run's token is taken, see RFC 8305. No other is shown a proof.
 */
import { ProtocolError } from '../../protocol/errors.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { combineFailures, coordinatorAddresses, openAddress } from './client.ts';
import type { ClientTransport } from './client.ts';
import type { Lookup } from './host-addresses.ts';
import type { Greeted } from './join.ts';
import { raceAttempts } from './race.ts';
import type { Attempt } from './race.ts';
import type { TlsTrust } from './tls.ts';

export interface FindOptions {
  readonly signal: AbortSignal;
  /** Which certificate to accept at a URL. Throws `ConfigError` for a wrong URL. */
  readonly tlsOf: (url: string) => TlsTrust | undefined;
  /** Has the coordinator prove that it knows the token; undefined of a run without one. */
  readonly greet: ((transport: Transport) => Promise<Greeted>) | undefined;
  /** Default: the system's. */
  readonly lookup?: Lookup;
}

export interface FoundCoordinator {
  readonly transport: ClientTransport;
  /** Where the coordinator has proved what it knows: then hello was said. Where there was one address, it was not asked yet. */
  readonly greeted: Greeted | undefined;
}

/**
 * Rejects as `openCoordinator`; and where there are several addresses with `ProtocolError` when none of them is, or will
 * be, that of the run's coordinator.
 */
export async function findCoordinator(urls: readonly string[], options: FindOptions): Promise<FoundCoordinator> {
  const [first, ...others] = urls;
  if (others.length > 0)
    return race(
      urls,
      urls.map((url) => (signal) => tryUrl(url, { ...options, signal })),
      options,
    );
  const addresses = await coordinatorAddresses(first!, options.lookup);
  if (addresses.length > 1) return tryUrl(first!, options, addresses);
  const transport = await openAddress(first!, addresses[0]!, options.signal, options.tlsOf(first!));
  return { transport, greeted: undefined };
}

/** By all addresses of a URL's host. */
async function tryUrl(url: string, options: FindOptions, known?: readonly string[]): Promise<FoundCoordinator> {
  const addresses = known ?? (await coordinatorAddresses(url, options.lookup));
  options.signal.throwIfAborted();
  const attempts = addresses.map<Attempt<FoundCoordinator>>(
    (address) => (signal) => tryAddress(url, address, { ...options, signal }),
  );
  return race([url], attempts, options);
}

function race(
  urls: readonly string[],
  attempts: readonly Attempt<FoundCoordinator>[],
  { signal }: FindOptions,
): Promise<FoundCoordinator> {
  const discard = ({ transport }: FoundCoordinator) => leave(transport);
  return raceAttempts(attempts, { signal, discard }).catch((error: unknown) => {
    throw combineFailures(urls, error);
  });
}

async function tryAddress(url: string, address: string, options: FindOptions): Promise<FoundCoordinator> {
  const { signal, tlsOf, greet } = options;
  const transport = await openAddress(url, address, signal, tlsOf(url));
  if (!greet) return { transport, greeted: undefined };
  const giveUp = () => leave(transport);
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    if (signal.aborted) giveUp();
    return { transport, greeted: await greet(transport) };
  } catch (error) {
    transport.close(error instanceof ProtocolError ? error : undefined);
    throw error;
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

/** The coordinator was found by another address. */
function leave(transport: Transport): void {
  try {
    transport.send({ kind: 'leave', reason: 'it has joined by another address of the coordinator' });
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
  transport.close();
}
