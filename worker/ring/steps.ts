/**
 * Ring steps: a worker's part of each step in a ring that stands.
 *
 * A step has two phases. The average that a worker holds is applied only when the coordinator has heard from everyone that
 * they hold it, which it tells by opening the next step, or by asking for the proof. So when a ring breaks, every replica
 * stands at the same step: averages that were not applied are dropped, and the step is taken again. So is what rounding
 * took away from them, with int8; another ring cuts vectors in another way, and begins without any.
 */
import { ProtocolError } from '../../protocol/errors.ts';
import type { Exchange } from '../../protocol/state/exchange.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import { NO_PEER_LIMITS } from '../../protocol/wire/peer-limits.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { PeerLost } from './links.ts';
import type { RingLinks } from './links.ts';
import { createLocalSum, numExactValues } from './local-sum.ts';
import type { LocalSumOptions } from './local-sum.ts';
import type { StepTrace } from '../step/step-trace.ts';
import { planPieces } from './pieces.ts';
import type { Sizes } from './pieces.ts';
import { createRingReduce } from './reduce.ts';

export interface RingStepsOptions extends Omit<LocalSumOptions, 'welcome'> {
  readonly transport: Transport;
  readonly welcome: LocalSumOptions['welcome'] & Pick<MessageOf<'welcome'>, 'wire'>;
  readonly replica: Replica;
  readonly exchange: Exchange;
  /** Told when what is done. Default: nobody asks. */
  readonly trace?: StepTrace | undefined;
}

export interface RingSteps {
  /**
   * Applies the average that is held, sums with everyone, and tells how it went; also when a link breaks. Resolves without
   * a word when the links were ended on this side, or the coordinator is gone.
   */
  take(message: MessageOf<'ringStep'>): Promise<void>;
  /** Everyone holds the average of the last step: applies it, unless that was done. Returns the milliseconds it took. */
  commit(): number;
}

export function createRingSteps(options: RingStepsOptions, links: RingLinks, stepTimeoutMs: number): RingSteps {
  const { transport, welcome, replica, exchange, vectorMath, trace } = options;
  const { layout } = exchange;
  const sizes = { numParameters: layout.numParameters, numExact: numExactValues(layout) };
  limitUnread(links, sizes);
  // The coordinator waits for a sum and for an exchange one step's time each, and knows better whom to blame.
  const timeoutMs = Math.min(3 * stepTimeoutMs, LIMITS.longestWaitMs);
  const reduce = createRingReduce({ links, ...sizes, wire: welcome.wire, vectorMath, timeoutMs });
  const computeSum = createLocalSum(options);
  let applyHeld: (() => void) | undefined;

  const commit = (): number => {
    if (!applyHeld) return 0;
    const startMs = performance.now();
    applyHeld();
    reduce.commit();
    applyHeld = undefined;
    const endMs = performance.now();
    trace?.applied(startMs, endMs);
    return endMs - startMs;
  };

  return {
    commit,
    async take({ step, numSteps = 1, numSamples, rates, assignment }) {
      const applyMs = commit();
      if (replica.step !== step - 1) {
        throw new ProtocolError('ERR_STATE_MISMATCH', `step ${step} does not follow step ${replica.step}`, { step });
      }
      const moments = trace?.open(step);
      const timed = () => moments && { moments: moments.take() };
      const { vector, microbatches, computeMs, encodeMs } = await computeSum(assignment, moments);
      if (links.areClosed()) return;
      const firstMicrobatch = assignment?.firstMicrobatch ?? 0;
      const sum = { step, firstMicrobatch, microbatches, computeMs, encodeMs, applyMs };
      transport.send({ kind: 'ringSum', ...sum, ...timed() });
      try {
        moments?.begin();
        const exchanged = await reduce.average(vector, step, exchange.divisorOf(numSamples));
        moments?.end('exchanged');
        if (links.areClosed()) return;
        transport.send({ kind: 'ringDone', step, ...exchanged, ...links.takeBytes(), ...timed() });
        if (!exchanged.isFinite) return;
      } catch (error) {
        if (links.areClosed()) return;
        if (!(error instanceof PeerLost)) throw error;
        transport.send({ kind: 'ringBroken', step, neighbour: error.role, reason: error.message.slice(0, 2000) });
        return;
      }
      // Without the loss, which nobody applies.
      applyHeld = () => exchange.apply(vector.subarray(0, vector.length - 1), { step, numSteps, rates });
    },
  };
}

/** A neighbour may be ahead by the pieces of a step, while this worker computes its own sum; a successor sends nothing. */
function limitUnread({ predecessor, successor, size }: RingLinks, sizes: Sizes): void {
  const numValues = sizes.numParameters + sizes.numExact;
  const limits = {
    ...NO_PEER_LIMITS,
    maxUnreadMessages: planPieces(sizes, size).flat().length + LIMITS.queueSlackMessages,
    maxUnreadBytes: numValues * Float32Array.BYTES_PER_ELEMENT + LIMITS.queueSlackBytes,
  };
  for (const { transport } of [predecessor, successor]) transport.limit(limits);
}
