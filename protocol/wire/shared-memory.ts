/**
 * Shared memory: how a worker on the coordinator's own machine hands over payloads without sending them.
 *
 * The coordinator makes two memories: one for averages, which all such workers map, and one for each worker's gradients.
 * It offers them in `welcome`, by names that mean something on this machine only, with a nonce that lies at the start of
 * each: a worker that finds the nonce there has mapped the right memory. A worker that cannot map it says so in
 * `ready`, and its payloads travel through the socket.
 *
 * Only the coordinator makes memory, and nobody opens what a worker names.
 */
import { z } from 'zod';

/** One memory, by its name on this machine. */
const memorySchema = z.strictObject({ name: z.string().max(100), numBytes: z.int().min(1) });

export const sharedMemoryOfferSchema = z.strictObject({
  averages: memorySchema,
  gradients: memorySchema,
  nonce: z.string().regex(/^[0-9a-f]{32}$/),
});

export type SharedMemoryOffer = Readonly<z.infer<typeof sharedMemoryOfferSchema>>;

/** What the machine can do: memory of one process, mapped by others of the same user. */
export interface SharedMemorySystem {
  /** Zeros. The name holds as long as this process lives. Throws when the system refuses. */
  readonly create: (numBytes: number) => { readonly name: string; readonly memory: ArrayBuffer };
  /** Maps what `create` made in another process. Throws when it is not there, or not what it should be. */
  readonly open: (name: string, numBytes: number) => ArrayBuffer;
}

/** Payloads begin at multiples of this: a cache line, and what vector instructions like best. */
const ALIGNMENT = 64;
const NONCE_BYTES = 16;

const alignedBytes = (numBytes: number): number => Math.ceil(numBytes / ALIGNMENT) * ALIGNMENT;

/** The length of a memory that has room for `count` payloads of `payloadBytes`. */
export const memoryBytesFor = (payloadBytes: number, count: number): number =>
  ALIGNMENT + count * alignedBytes(payloadBytes);

export function writeNonce(memory: ArrayBuffer, nonce: string): void {
  new Uint8Array(memory).set(Buffer.from(nonce, 'hex'));
}

export function hasNonce(memory: ArrayBuffer, nonce: string): boolean {
  return Buffer.from(memory, 0, NONCE_BYTES).toString('hex') === nonce;
}

/** Hands out memory for payloads; what is handed out is kept by its user. */
export type PayloadAllocator = (numBytes: number) => Uint8Array<ArrayBuffer>;

/** From the process's own memory. */
export const allocateOwn: PayloadAllocator = (numBytes) => new Uint8Array(numBytes);

/** From `memory` as long as there is room, then from the process's own: such payloads are sent. */
export function allocateFrom(memory: ArrayBuffer): PayloadAllocator {
  let used = ALIGNMENT;
  return (numBytes) => {
    if (used + numBytes > memory.byteLength) return allocateOwn(numBytes);
    const bytes = new Uint8Array(memory, used, numBytes);
    used += alignedBytes(numBytes);
    return bytes;
  };
}
