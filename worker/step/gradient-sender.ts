/**
 * Gradient sender: puts the parts of a step's sums on the wire, in order, a few buckets ahead of the averages that come back.
 *
 * A vector of megabytes would fit into the queues on the way as a whole. Then one worker's last bucket may arrive before
 * another's first, no bucket is complete before almost everything has come up, and nothing goes down in the meantime.
 *
 * Why no worker can wait for itself: bucket b of a worker's last sum is held until the averages of b - 2 buckets are here, and
 * every other sum is sent at once. So the first `BUCKETS_AHEAD` buckets of all sums wait for nothing; their averages come,
 * and each allows the next bucket. Averages that came before the sum was computed count as well: a worker that takes
 * over work in the middle of a step has them already.
 */
import { BUCKETS_AHEAD } from '../../protocol/vectors/buckets.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import type { Transport } from '../../protocol/wire/transport.ts';

type Part = MessageOf<'gradientBucket'> | MessageOf<'gradient'>;

export interface GradientSender {
  /**
   * Sends the parts of one sum, bucket by bucket. With `waits`, for the last sum of a step, those that are too far ahead of
   * the averages are held: no bucket is complete without this worker's. Without, parts that were held before are sent too.
   */
  send(parts: readonly Part[], waits: boolean): void;
  /** The averages of the first `count` buckets of the open step are here: the parts that waited for them are sent. */
  averagesArrived(count: number): void;
  /** The step is over, or its state was sent anew: held parts are dropped, and no average of the next step is here. */
  forget(): void;
}

export function createGradientSender(transport: Pick<Transport, 'send'>): GradientSender {
  /** Parts that are held, with the bucket of each. */
  let held: { readonly bucket: number; readonly part: Part }[] = [];
  let numAverages = 0;

  const sendAllowed = (most: number) => {
    while (held[0] && held[0].bucket < most) transport.send(held.shift()!.part);
  };

  return {
    send(parts, waits) {
      held.push(...parts.map((part, bucket) => ({ bucket, part })));
      sendAllowed(waits ? numAverages + BUCKETS_AHEAD : Infinity);
    },
    averagesArrived(count) {
      numAverages = count;
      sendAllowed(numAverages + BUCKETS_AHEAD);
    },
    forget() {
      held = [];
      numAverages = 0;
    },
  };
}
