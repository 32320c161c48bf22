/** A worker's part of shared memory: maps what the coordinator offers, if it can. */
import { describeError } from '../../protocol/errors.ts';
import { allocateFrom, hasNonce } from '../../protocol/wire/shared-memory.ts';
import type { PayloadAllocator, SharedMemoryOffer, SharedMemorySystem } from '../../protocol/wire/shared-memory.ts';
import type { Transport } from '../../protocol/wire/transport.ts';

interface JoinOptions {
  readonly sharedMemory?: SharedMemorySystem | undefined;
  /** Told why memory that was offered cannot be shared. */
  readonly log?: (line: string) => void;
}

/** Shares an offer's memory over the transport; where gradients go then. Undefined without an offer, or if it fails. */
export function joinMemory(
  transport: Pick<Transport, 'shareMemory'>,
  offer: SharedMemoryOffer | undefined,
  { sharedMemory, log }: JoinOptions,
): PayloadAllocator | undefined {
  const opened = offer && openOffer(offer, sharedMemory);
  if (!opened) return undefined;
  if ('reason' in opened) {
    log?.(`gradients travel through the socket, for memory cannot be shared: ${opened.reason}`);
    return undefined;
  }
  transport.shareMemory([opened.averages, opened.gradients]);
  return allocateFrom(opened.gradients);
}

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
    return { reason: describeError(error) };
  }
}
