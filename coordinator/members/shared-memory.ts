/** The coordinator's part of shared memory: makes it, offers it, and knows what each member may use. */
import { randomBytes } from 'node:crypto';
import { describeError } from '../../protocol/errors.ts';
import type { VectorLayout } from '../../protocol/vectors/layout.ts';
import { allocateFrom, allocateOwn, memoryBytesFor, writeNonce } from '../../protocol/wire/shared-memory.ts';
import type { PayloadAllocator, SharedMemoryOffer, SharedMemorySystem } from '../../protocol/wire/shared-memory.ts';
import { createVectorCodec } from '../../protocol/vectors/vector-codec.ts';
import { stepSizesOf } from '../run-config.ts';
import type { RunConfig } from '../run-config.ts';

export interface MemoryPool {
  /** What a worker on this machine is offered: the memories in the order in which both ends name them. */
  offer(): { readonly offer: SharedMemoryOffer; readonly memories: readonly ArrayBuffer[] } | undefined;
  /** Where averages go. */
  readonly allocateAverage: PayloadAllocator;
}

interface PoolOptions {
  readonly system: SharedMemorySystem | undefined;
  /** Of one vector as it travels, and how many gradients a worker may have under way. */
  readonly payloadBytes: number;
  readonly numGradients: number;
  /** Told once when the system refuses; then nothing is shared. */
  readonly log: (line: string) => void;
}

/**
 * A vector is under way for each whole subtree that a worker sends, of which a run of microbatches has at most two a
 * level of the tree; one more is being computed. Pages that are never touched cost nothing.
 */
export const gradientsUnderWay = (numMicrobatches: number): number => 2 * Math.ceil(Math.log2(numMicrobatches)) + 2;

/** The pool of a run. */
export function createRunMemory(
  config: RunConfig,
  layout: VectorLayout,
  system: SharedMemorySystem | undefined,
  log: (line: string) => void,
): MemoryPool {
  const { payloadBytes } = createVectorCodec(config.wire, layout);
  const numGradients = gradientsUnderWay(stepSizesOf(config).microbatches);
  return createMemoryPool({ system, payloadBytes, numGradients, log });
}

/** A pool whose memories have room for two averages, and for `numGradients` gradients of each worker. */
export function createMemoryPool({ system, payloadBytes, numGradients, log }: PoolOptions): MemoryPool {
  let isUsable = system !== undefined;
  const nonce = randomBytes(16).toString('hex');
  const create = (count: number) => {
    const numBytes = memoryBytesFor(payloadBytes, count);
    const { name, memory } = system!.create(numBytes);
    writeNonce(memory, nonce);
    return { named: { name, numBytes }, memory };
  };
  /** Undefined when the system refuses, now or before. */
  const tryToCreate = (count: number) => {
    if (!isUsable) return undefined;
    try {
      return create(count);
    } catch (error) {
      isUsable = false;
      log(`payloads travel through sockets, for memory cannot be shared: ${describeError(error)}`);
      return undefined;
    }
  };
  const averages = tryToCreate(2);
  return {
    allocateAverage: averages ? allocateFrom(averages.memory) : allocateOwn,
    offer() {
      const gradients = averages && tryToCreate(numGradients);
      if (!gradients) return undefined;
      return {
        offer: { averages: averages.named, gradients: gradients.named, nonce },
        memories: [averages.memory, gradients.memory],
      };
    },
  };
}
