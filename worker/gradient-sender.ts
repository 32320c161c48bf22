/**
 * Gradient sender: puts the parts of a step's sums on the wire, in order, a few ahead of the averages that come back.
 *
 * A vector of megabytes would fit into the queues on the way as a whole. Then one worker's last bucket may arrive before
 * another's first, no bucket is complete before almost everything has come up, and nothing goes down in the meantime.
 */
import { BUCKETS_AHEAD } from '../protocol/wire/buckets.ts';
import type { MessageOf } from '../protocol/wire/messages.ts';
import type { Transport } from '../protocol/wire/transport.ts';

type Part = MessageOf<'gradientBucket'> | MessageOf<'gradient'>;

export interface GradientSender {
  /**
   * Sends the parts of one sum. With `waits`, for the last sum of a step, most of them wait for averages: no bucket is
   * complete without it. Without, whatever still waits goes too.
   */
  send(parts: readonly Part[], waits: boolean): void;
  /** Tells that the average of one more bucket has arrived: the next part may go. */
  averageArrived(): void;
  /** Sends nothing of what still waits. */
  forget(): void;
}

export function createGradientSender(transport: Pick<Transport, 'send'>): GradientSender {
  const waiting: Part[] = [];
  return {
    send(parts, waits) {
      waiting.push(...parts);
      const count = waits ? BUCKETS_AHEAD : waiting.length;
      for (const part of waiting.splice(0, count)) transport.send(part);
    },
    averageArrived() {
      const part = waiting.shift();
      if (part) transport.send(part);
    },
    forget() {
      waiting.length = 0;
    },
  };
}
