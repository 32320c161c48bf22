/** A worker's part of shared memory: maps what the coordinator offers, if it can. */
import type { SharedMemoryOffer, SharedMemorySystem } from '../protocol/wire/shared-memory.ts';
import { hasNonce } from '../protocol/wire/shared-memory.ts';

/**
 * The memories of an offer, in the order in which both ends name them, or why they cannot be had: another machine or
 * container of the same address, another user, no addon.
 */
export function openOffer(
  offer: SharedMemoryOffer,
  system: SharedMemorySystem | undefined,
): { readonly averages: ArrayBuffer; readonly gradients: ArrayBuffer } | { readonly reason: string } {
  if (!system) return { reason: 'it needs Linux and the native addon' };
  try {
    const [averages, gradients] = [offer.averages, offer.gradients].map(({ name, numBytes }) => {
      const memory = system.open(name, numBytes);
      if (!hasNonce(memory, offer.nonce)) throw new Error(`${name} is not the coordinator's`);
      return memory;
    });
    return { averages: averages!, gradients: gradients! };
  } catch (error) {
    return { reason: (error as Error).message };
  }
}
