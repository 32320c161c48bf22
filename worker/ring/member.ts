/**
 * A worker in a ring: the set-up, the steps and the proof, each an answer to a message of the coordinator. The session
 * hands those messages on and knows no more of it. Opens no sockets: who does is handed in.
 */
import { ProtocolError } from '../../protocol/errors.ts';
import type { Message, MessageOf } from '../../protocol/wire/messages.ts';
import { createRingSetUp } from './set-up.ts';
import type { PeerSockets } from './set-up.ts';
import { createRingSteps } from './steps.ts';
import type { RingSteps, RingStepsOptions } from './steps.ts';
import type { RingLinks } from './links.ts';

/** The coordinator's messages of a ring. */
export const RING_MESSAGES = ['ringPrepare', 'ringConnect', 'ringStep', 'ringProve', 'ringClose'] as const;
export type RingMessage = MessageOf<(typeof RING_MESSAGES)[number]>;

export const isRingMessage = (message: Message): message is RingMessage =>
  (RING_MESSAGES as readonly string[]).includes(message.kind);

export interface RingMemberOptions extends RingStepsOptions {
  /** Undefined where there is no way to other workers: in the coordinator's process. */
  readonly peers: PeerSockets | undefined;
  /** Told what went wrong with something that was under way beside the reading, if no link did. */
  readonly onError: (error: unknown) => void;
}

export interface RingMember {
  /**
   * Does what the message asks for and answers it. What waits for neighbours, connecting or a step, goes on after this has
   * resolved, so that `ringClose` can overtake it; everything else waits for that.
   */
  answer(message: RingMessage): Promise<void>;
  /** What is under way, if anything is; rejects with what went wrong with it. */
  readonly underWay: Promise<void> | undefined;
  /** Ends the links and the listening, and waits for what is under way; harmless when there is nothing. */
  close(): Promise<void>;
}

export function createRingMember(options: RingMemberOptions): RingMember {
  const { transport, replica, peers, onError, trace } = options;
  const setUp = createRingSetUp(transport, peers);
  let ring: { links: RingLinks; steps: RingSteps } | undefined;
  let underWay: Promise<void> | undefined;

  const letGo = () => {
    ring?.links.close();
    ring = undefined;
    setUp.close();
  };
  // Neighbours must not wait for a worker that has lost its coordinator.
  void transport.closed.then(letGo);

  const begin = (work: Promise<void>) => {
    underWay = work;
    work.then(() => (underWay = undefined), onError);
  };

  const close = async (): Promise<void> => {
    letGo();
    await underWay?.catch(() => {});
  };

  /** The state is not changed before the coordinator opens another step, and then it has it. */
  const prove = ({ sendState }: MessageOf<'ringProve'>): void => {
    const applyMs = ring?.steps.commit() ?? 0;
    const { step } = replica;
    const moments = trace?.prove();
    moments?.begin();
    const startMs = performance.now();
    const parametersSha256 = replica.parametersSha256();
    const hashMs = performance.now() - startMs;
    moments?.end('hashed');
    const timed = moments && { moments: moments.take() };
    if (sendState) transport.send({ kind: 'snapshot', step, parametersSha256, payload: replica.state });
    transport.send({ kind: 'applied', step, parametersSha256, applyMs, hashMs, ...timed });
  };

  return {
    get underWay() {
      return underWay;
    },
    close,
    async answer(message) {
      if (message.kind === 'ringClose') {
        await close();
        transport.send({ kind: 'ringClosed', step: replica.step });
        return;
      }
      if (underWay) await underWay;
      switch (message.kind) {
        case 'ringPrepare':
          letGo();
          await setUp.prepare(message);
          break;
        case 'ringConnect':
          begin(
            setUp.connect(message, (links) => {
              ring = { links, steps: createRingSteps(options, links, message.stepTimeoutMs) };
            }),
          );
          break;
        case 'ringStep':
          if (!ring) throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', 'ringStep without a ring');
          begin(ring.steps.take(message));
          break;
        case 'ringProve':
          prove(message);
          break;
      }
    },
  };
}
