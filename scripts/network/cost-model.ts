/**
 * Cost model: what a step of synchronous training should take across hosts that a switch joins. Pure functions; times in
 * milliseconds, sizes in bytes. The formulas, and how near they come: docs/results/network.md.
 *
 * A step computes a gradient on every worker, then exchanges: every worker's gradient goes up, the average comes down.
 * An exchange keeps two things busy, which work at the same time: the busiest link, and the processors, which pack, copy
 * and sum ("handling").
 */
import type { Link } from './link.ts';

export const ALGORITHMS = ['star', 'ring'] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

/** What one worker's part of an exchange, a payload up and one down, costs in handling at both ends together. */
export interface Handling {
  readonly fixedMs: number;
  /** For each byte of a payload. */
  readonly msPerByte: number;
}

export interface StepInput {
  readonly algorithm: Algorithm;
  /** One worker trains in the coordinator's own process, where nothing travels, unless `doesOneTravel`. */
  readonly numWorkers: number;
  /** Of one gradient, or one average, as it is encoded. */
  readonly payloadBytes: number;
  readonly link: Link;
  /** Between two workers. Default: the link's. */
  readonly peerRoundTripMs?: number;
  /** Of one worker's gradient and update, with a core to itself. */
  readonly computeMs: number;
  /** Cores that all hosts share, as emulated ones do; 'own': every host has cores of its own. */
  readonly cores: number | 'own';
  /** With shared cores: measured with as many workers on those cores, taking turns included. */
  readonly handling: Handling;
  /**
   * Parts in which a vector is reduced, each sent on as soon as its last piece has arrived. 1: the whole vector must be
   * there before any of it goes on.
   */
  readonly buckets: number;
  /** Steps of an epoch; at its end replicas are proved equal, which costs one more round trip. */
  readonly stepsPerEpoch: number;
  /** Whether one worker alone is a process that the coordinator sends to as well. Default: false, nothing travels. */
  readonly doesOneTravel?: boolean;
}

/** `stepMs` = computeMs + exchangeMs + roundTripMs. */
export interface StepCost {
  readonly stepMs: number;
  readonly computeMs: number;
  /** What the busiest link and the processors take together, each also alone: */
  readonly exchangeMs: number;
  readonly wireMs: number;
  readonly handlingMs: number;
  readonly roundTripMs: number;
}

/**
 * A frame's bytes on an Ethernet of 1500 bytes a packet: 1448 of it are the stream's, beside 52 of TCP and IP with time
 * stamps there are 14 of Ethernet, which `tc` counts too.
 */
export const BYTES_ON_WIRE = 1514 / 1448;

/** The cost of a step. */
export function predictStep(input: StepInput): StepCost {
  const computeMs = sharedComputeMs(input);
  if (input.numWorkers === 1 && !input.doesOneTravel) return { stepMs: computeMs, computeMs, ...NOTHING };
  const { exchangeMs, wireMs, handlingMs, roundTripMs } = EXCHANGES[input.algorithm](input);
  return { stepMs: computeMs + exchangeMs + roundTripMs, computeMs, exchangeMs, wireMs, handlingMs, roundTripMs };
}

/** Samples a second of N workers over N times those of one worker that needs no network, `aloneMs` a step. */
export function efficiencyOf(stepMs: number, aloneMs: number): number {
  return aloneMs / stepMs;
}

/** On shared cores workers take turns: N c / cores, but no less than c. */
export function sharedComputeMs({
  numWorkers,
  computeMs,
  cores,
}: Pick<StepInput, 'numWorkers' | 'computeMs' | 'cores'>): number {
  return computeMs * (cores === 'own' ? 1 : Math.max(1, numWorkers / cores));
}

type Exchange = Omit<StepCost, 'stepMs' | 'computeMs'>;

const EXCHANGES: Record<Algorithm, (input: StepInput) => Exchange> = { star: starExchange, ring: ringExchange };

/**
 * Star: the coordinator's link carries N payloads up and N down. With B buckets it sends a bucket while later ones still
 * arrive, for links are full-duplex: all but the first bucket's way overlaps. Of that, about a quarter does too, for updates
 * do not reach all workers at the same moment, and who has one answers it: the 3/4 are fitted to what was measured,
 *
 *     wire = (1 + 3/4B) N w,  w = payload / bandwidth
 *
 * Handling h is half the coordinator's, one payload after the other, and half the workers', each on its own:
 *
 *     handling = N h/2 + h/2 with own cores;  N h with shared ones, h as measured there
 *
 * hidden behind the wire, or the wire behind it, except one payload. Not with buckets on shared cores: both directions
 * of the link are busy then, and so are the few processors, with packets of the emulated links too; what was measured
 * is their sum. And one round trip: the update on its way down, the gradient on its way up.
 */
function starExchange(input: StepInput): Exchange {
  const { numWorkers, payloadBytes, link, cores, handling, buckets, stepsPerEpoch } = input;
  const wireMs = (1 + 0.75 / buckets) * numWorkers * transferMs(payloadBytes, link);
  const { units, bytes } = handlingUnits('star', numWorkers, payloadBytes);
  const handlingMs = (cores === 'own' ? (numWorkers + 1) / 2 : units) * handlingMsOf(handling, bytes);
  return {
    exchangeMs:
      cores !== 'own' && buckets > 1 ? wireMs + handlingMs : pipelineMs(wireMs, handlingMs, numWorkers * buckets),
    wireMs,
    handlingMs,
    roundTripMs: link.roundTripMs * (1 + 1 / stepsPerEpoch),
  };
}

/**
 * Ring: N - 1 hops in which every host sends an Nth of the sum so far to the next, then N - 1 in which it sends an Nth of
 * the average. Every link carries, in either direction,
 *
 *     wire = 2 (N - 1) w / N
 *
 * and each hop waits for the one before: half a round trip each. A hop's handling is h/2, of an Nth of the bytes, for
 * each host: all at the same time with own cores, N times that with shared ones. One more round trip, to the coordinator:
 * it opens a step when all have told that they have the average of the one before.
 *
 * Source: Patarasuk and Yuan, Bandwidth optimal all-reduce algorithms for clusters of workstations, 2009.
 */
function ringExchange(input: StepInput): Exchange {
  const { numWorkers, payloadBytes, link, cores, handling, buckets, stepsPerEpoch } = input;
  const { peerRoundTripMs = link.roundTripMs } = input;
  const hops = 2 * (numWorkers - 1);
  const { units, bytes } = handlingUnits('ring', numWorkers, payloadBytes);
  const hopWireMs = transferMs(bytes, link);
  const hopHandlingMs = (cores === 'own' ? 1 / 2 : units / hops) * handlingMsOf(handling, bytes);
  return {
    exchangeMs: hops * pipelineMs(hopWireMs, hopHandlingMs, buckets),
    wireMs: hops * hopWireMs,
    handlingMs: hops * hopHandlingMs,
    roundTripMs: peerRoundTripMs * (hops / 2) + link.roundTripMs * (1 + 1 / stepsPerEpoch),
  };
}

/**
 * What all hosts handle in one exchange, counted in whole exchanges of `bytes`: a star's N of a payload, a ring's hops,
 * half an exchange a host, of an Nth of it.
 */
export function handlingUnits(
  algorithm: Algorithm,
  numWorkers: number,
  payloadBytes: number,
): { units: number; bytes: number } {
  if (algorithm === 'star') return { units: numWorkers, bytes: payloadBytes };
  return { units: numWorkers * (numWorkers - 1), bytes: payloadBytes / numWorkers };
}

const NOTHING: Exchange = { exchangeMs: 0, wireMs: 0, handlingMs: 0, roundTripMs: 0 };

function handlingMsOf({ fixedMs, msPerByte }: Handling, payloadBytes: number): number {
  return fixedMs + msPerByte * payloadBytes;
}

/** A payload alone on a link, in one direction. */
function transferMs(payloadBytes: number, { bitsPerSecond }: Link): number {
  return (8000 * payloadBytes * BYTES_ON_WIRE) / bitsPerSecond;
}

/**
 * Two stages that work at the same time on `numItems` equal items, one after the other: the slower one sets the pace, the
 * faster one is seen for one item, before the slower can begin or after it has ended.
 *
 * Source: Johnson, Optimal two- and three-stage production schedules, 1954.
 */
function pipelineMs(firstMs: number, secondMs: number, numItems: number): number {
  return Math.max(firstMs, secondMs) + Math.min(firstMs, secondMs) / numItems;
}
