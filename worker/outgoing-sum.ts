/** Outgoing sum: one sum over microbatches on its way to the coordinator, bucket by bucket, from when it is final. */
import type { MessageOf } from '../protocol/wire/messages.ts';
import type { GradientEncoder } from './gradient-encoder.ts';
import type { GradientSender } from './gradient-sender.ts';

type Place = Pick<MessageOf<'gradient'>, 'step' | 'firstMicrobatch' | 'numMicrobatches'>;

interface SumOptions {
  readonly encoder: Pick<GradientEncoder, 'encode'>;
  readonly sender: Pick<GradientSender, 'begin' | 'send'>;
  readonly numBuckets: number;
  /** Whether it is the last sum of its step: see `GradientSender`. */
  readonly waits: boolean;
}

export interface OutgoingSum {
  /** Sends the buckets, all but the last, of which every value is final: from parameter `firstFinal` on they are. */
  readonly sendFinal: (firstFinal: number) => void;
  /** Sends what is left: all of the sum is final. `describe` is asked for the counts when everything is packed. */
  readonly sendRest: (describe: () => Omit<MessageOf<'gradient'>, 'kind' | 'payload' | keyof Place>) => void;
}

/** Opens the sum `vector`, from the encoder, over the microbatches of `place`. One sum at a time. */
export function openSum(options: SumOptions, vector: Float32Array<ArrayBuffer>, place: Place): OutgoingSum {
  const { encoder, sender, numBuckets, waits } = options;
  const payloads = encoder.encode(vector, numBuckets);
  const last = payloads.count - 1;
  let bucket = 0;

  const pack = (firstFinal: number): MessageOf<'gradientBucket'>[] => {
    const parts = [];
    while (bucket < last) {
      const payload = payloads.next(firstFinal);
      if (!payload) break;
      parts.push({ kind: 'gradientBucket', ...place, bucket: bucket++, payload } as const);
    }
    return parts;
  };

  sender.begin(waits);
  return {
    sendFinal(firstFinal) {
      for (const part of pack(firstFinal)) sender.send(part);
    },
    sendRest(describe) {
      const parts = pack(0);
      const payload = payloads.next(0)!;
      const counts = describe();
      for (const part of parts) sender.send(part);
      sender.send({ kind: 'gradient', ...place, ...counts, payload });
    },
  };
}
