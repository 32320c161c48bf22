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
   * Begins a sum. With `waits`, for the last sum of a step, most of its parts wait for averages: no bucket is complete
   * without it. Without, whatever still waits goes too.
   */
  begin(waits: boolean): void;
  /** Sends the next part of the sum. */
  send(part: Part): void;
  /** Tells that the average of one more bucket has arrived: the next part may go. */
  averageArrived(): void;
  /** Sends nothing of what still waits. */
  forget(): void;
}

export function createGradientSender(transport: Pick<Transport, 'send'>): GradientSender {
  const waiting: Part[] = [];
  /** Parts of the sum that need not wait. */
  let ahead = Infinity;
  return {
    begin(waits) {
      ahead = waits ? BUCKETS_AHEAD : Infinity;
      if (waits) return;
      for (const part of waiting.splice(0)) transport.send(part);
    },
    send(part) {
      if (ahead > 0) transport.send(part);
      else waiting.push(part);
      ahead--;
    },
    averageArrived() {
      const part = waiting.shift();
      if (part) transport.send(part);
      else ahead++;
    },
    forget() {
      waiting.length = 0;
    },
  };
}
