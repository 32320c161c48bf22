/** Faults of links: each lasts for its time and is then over, and a link has one at a time. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Link } from '../../network/link.ts';
import { UNLIMITED } from '../../network/link.ts';
import type { HostLink } from '../../network/namespaces.ts';

/** `cut`: nothing passes, and neither end is told. `slow`: everything passes, late. */
export type LinkFault = 'cut' | 'slow';

export interface LinkFaults {
  /**
   * Begins a fault of the link with this number, or of the next that has none; when all have one, as soon as one of
   * them is over. Rejects when one could not be made or ended.
   */
  begin(fault: LinkFault, link: number, seconds: number): Promise<void>;
  /** Ends those that last, on the spot. */
  stop(): Promise<void>;
}

/** `slow`: what a link is like that is slow; else it has no limit. */
export function createLinkFaults(links: readonly HostLink[], slow: Link): LinkFaults {
  /** By the number of the link. Resolves when the fault is over. */
  const lasting = new Map<number, Promise<void>>();
  const stopping = new AbortController();
  let failure: unknown;

  const last = async (fault: LinkFault, link: HostLink, seconds: number) => {
    if (fault === 'cut') link.cut();
    else link.shape(slow);
    // One that is stopped is over all the same.
    await delay(1000 * seconds, undefined, { signal: stopping.signal }).catch(() => {});
    if (fault === 'cut') link.mend();
    else link.shape(UNLIMITED);
  };

  const throwIfFailed = () => {
    if (failure !== undefined) throw failure as Error;
  };

  return {
    async begin(fault, link, seconds) {
      while (lasting.size === links.length) await Promise.race(lasting.values());
      throwIfFailed();
      const numbers = links.map((_, i) => (link + i) % links.length);
      const number = numbers.find((candidate) => !lasting.has(candidate))!;
      const over = last(fault, links[number]!, seconds)
        .catch((error: unknown) => (failure ??= error))
        .then(() => void lasting.delete(number));
      lasting.set(number, over);
    },
    async stop() {
      stopping.abort();
      await Promise.all(lasting.values());
      throwIfFailed();
    },
  };
}
