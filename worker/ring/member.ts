/**
 * A worker in a ring: the set-up, the steps and the proof, each an answer to a message of the coordinator. The session
 * hands those messages on and knows no more of it. Opens no sockets: who does is handed in.
 */
import { describeError, ProtocolError } from '../../protocol/errors.ts';
import type { Exchange } from '../../protocol/state/exchange.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import { NO_PEER_LIMITS } from '../../protocol/wire/peer-limits.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { createGate } from './gate.ts';
import type { Gate } from './gate.ts';
import { createLinks } from './links.ts';
import type { RingLinks } from './links.ts';
import { createLocalSum, numExactValues } from './local-sum.ts';
import type { LocalSum, LocalSumOptions } from './local-sum.ts';
import { planPieces } from './pieces.ts';
import type { Sizes } from './pieces.ts';
import { createRingReduce } from './reduce.ts';
import type { RingReduce } from './reduce.ts';

/** The coordinator's messages of a ring. */
export const RING_MESSAGES = ['ringPrepare', 'ringConnect', 'ringStep', 'ringProve', 'ringClose'] as const;
export type RingMessage = MessageOf<(typeof RING_MESSAGES)[number]>;

/** Opens connections between workers. */
export interface PeerSockets {
  /** Listens on any free port of the address by which this machine reaches the coordinator. */
  listen(onConnection: (transport: Transport) => void): Promise<PeerListener>;
  /** Rejects when nobody answers within `LIMITS.peerConnectMs`. */
  connect(url: string): Promise<Transport>;
}

export interface PeerListener {
  readonly url: string;
  /** Stops listening and cuts what is still connected. */
  close(): void;
}

export interface RingMemberOptions extends Omit<LocalSumOptions, 'welcome'> {
  readonly transport: Transport;
  readonly welcome: LocalSumOptions['welcome'] & Pick<MessageOf<'welcome'>, 'wire'>;
  readonly replica: Replica;
  readonly exchange: Exchange;
  /** Undefined where there is no way to other workers: in the coordinator's process. */
  readonly peers: PeerSockets | undefined;
}

export interface RingMember {
  /** Does what the message asks for and answers it. */
  answer(message: RingMessage): Promise<void>;
  /** Ends the links and the listening; harmless when there are none. */
  close(): void;
}

interface Ring {
  readonly links: RingLinks;
  readonly reduce: RingReduce;
  readonly computeSum: (assignment?: MessageOf<'ringStep'>['assignment']) => Promise<LocalSum>;
}

export function createRingMember(options: RingMemberOptions): RingMember {
  const { transport, welcome, replica, exchange, vectorMath, peers } = options;
  let door: { token: string; gate: Gate; listener: PeerListener } | undefined;
  let ring: Ring | undefined;
  let applyMs = 0;
  let isOver = false;

  const close = () => {
    ring?.links.close();
    door?.gate.close();
    door?.listener.close();
    ring = door = undefined;
  };
  // A session that waits for a neighbour does not read what the coordinator sends: when that is gone, so is the ring.
  void transport.closed.then(() => {
    isOver = true;
    close();
  });

  const unavailable = (because: MessageOf<'ringUnavailable'>['because'], error: unknown) =>
    transport.send({ kind: 'ringUnavailable', because, reason: describeError(error).slice(0, 2000) });

  const prepare = async ({ token }: MessageOf<'ringPrepare'>): Promise<void> => {
    close();
    try {
      if (!peers) throw new Error('it lives in a process without sockets');
      const gate = createGate(token);
      const listener = await peers.listen((connection) => void gate.admit(connection));
      door = { token, gate, listener };
      transport.send({ kind: 'ringListening', url: listener.url });
    } catch (error) {
      unavailable('itself', error);
    }
  };

  const connect = async (message: MessageOf<'ringConnect'>): Promise<void> => {
    if (!door || !peers) throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', 'ringConnect without ringPrepare before it');
    const { rank, size } = message;
    const behind = door.gate.predecessor((rank + size - 1) % size);
    behind.catch(() => {});
    let ahead: Transport;
    try {
      ahead = await peers.connect(message.successorUrl);
      ahead.send({ kind: 'peerHello', token: door.token, rank });
    } catch (error) {
      unavailable('successor', error);
      return;
    }
    try {
      const successor = { role: 'successor', name: message.successor, transport: ahead } as const;
      const predecessor = { role: 'predecessor', name: message.predecessor, transport: await behind } as const;
      ring = createRing(createLinks({ rank, size }, successor, predecessor), message.stepTimeoutMs);
    } catch (error) {
      ahead.close();
      unavailable('predecessor', error);
      return;
    }
    transport.send({ kind: 'ringReady', rank });
  };

  const createRing = (links: RingLinks, stepTimeoutMs: number): Ring => {
    const { layout } = exchange;
    const sizes = { numParameters: layout.numParameters, numExact: numExactValues(layout) };
    limitUnread(links, sizes);
    // The coordinator waits for a sum and for an exchange one step's time each, and knows better whom to blame.
    const timeoutMs = Math.min(3 * stepTimeoutMs, LIMITS.longestWaitMs);
    const reduce = createRingReduce({ links, ...sizes, wire: welcome.wire, vectorMath, timeoutMs });
    return { links, reduce, computeSum: createLocalSum(options) };
  };

  /** Sums with everyone, tells how it went, and applies the average while the coordinator opens the next step. */
  const takeStep = async (message: MessageOf<'ringStep'>): Promise<void> => {
    if (!ring) throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', 'ringStep without a ring');
    const { step, numSteps = 1, numSamples, rates, assignment } = message;
    if (replica.step !== step - 1) {
      throw new ProtocolError('ERR_STATE_MISMATCH', `step ${step} does not follow step ${replica.step}`, { step });
    }
    const { links, reduce, computeSum } = ring;
    const { vector, microbatches, computeMs, encodeMs } = await computeSum(assignment);
    const firstMicrobatch = assignment?.firstMicrobatch ?? 0;
    transport.send({ kind: 'ringSum', step, firstMicrobatch, microbatches, computeMs, encodeMs, applyMs });
    const exchanged = await reduce.average(vector, step, exchange.divisorOf(numSamples)).catch((error: unknown) => {
      if (!isOver) throw error;
    });
    // The coordinator has ended the run: its reason is the next thing that the session reads.
    if (!exchanged) return;
    transport.send({ kind: 'ringDone', step, ...exchanged, ...links.takeBytes() });
    if (!exchanged.isFinite) return;
    const startMs = performance.now();
    // Without the loss, which nobody applies.
    exchange.apply(vector.subarray(0, vector.length - 1), { step, numSteps, rates });
    applyMs = performance.now() - startMs;
  };

  /** The state is not changed before the coordinator opens another step, and then it has it. */
  const prove = ({ sendState }: MessageOf<'ringProve'>): void => {
    const { step } = replica;
    const startMs = performance.now();
    const parametersSha256 = replica.parametersSha256();
    const hashMs = performance.now() - startMs;
    if (sendState) transport.send({ kind: 'snapshot', step, parametersSha256, payload: replica.state });
    transport.send({ kind: 'applied', step, parametersSha256, applyMs, hashMs });
    applyMs = 0;
  };

  return {
    close,
    async answer(message) {
      switch (message.kind) {
        case 'ringPrepare':
          await prepare(message);
          break;
        case 'ringConnect':
          await connect(message);
          break;
        case 'ringStep':
          await takeStep(message);
          break;
        case 'ringProve':
          prove(message);
          break;
        case 'ringClose':
          close();
          break;
      }
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
