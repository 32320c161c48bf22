/**
 * Gradient sender: puts the parts of a step's sums on the wire, in order, a few ahead of the averages that come back.
 *
 * A vector of megabytes would fit into the queues on the way as a whole. Then one worker's last bucket may arrive before
 * another's first, no bucket is complete before almost everything has come up, and nothing goes down in the meantime.
 */
import type { MessageOf } from '../protocol/wire/messages.ts';
import type { Transport } from '../protocol/wire/transport.ts';

/**
 * Buckets of the last sum that are sent before the first average is back: one that is being averaged, one on its way, and
 * one more for the time that messages take from end to end.
 */
export const BUCKETS_AHEAD = 3;

type Part = MessageOf<'gradientBucket'> | MessageOf<'gradient'>;

export interface GradientSender {
  /** Sends the parts of one sum. Those of the last sum of a step wait for averages: no bucket is complete without it. */
  send(parts: readonly Part[], isLastSum: boolean): void;
  /** Tells that the average of one more bucket has arrived: the next part may go. */
  averageArrived(): void;
}

export function createGradientSender(transport: Pick<Transport, 'send'>): GradientSender {
  const waiting: Part[] = [];
  return {
    send(parts, isLastSum) {
      waiting.push(...parts);
      const count = isLastSum ? BUCKETS_AHEAD : parts.length;
      for (const part of waiting.splice(0, count)) transport.send(part);
    },
    averageArrived() {
      const part = waiting.shift();
      if (part) transport.send(part);
    },
  };
}
