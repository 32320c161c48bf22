/**
 * Establishes the all-reduce of a run: the one that it began with, if it is resumed; else the one that was asked for, or
 * that the rule takes; the star where no ring can be.
 */
import type { Exchange } from '../../protocol/state/exchange.ts';
import type { PayloadAllocator } from '../../protocol/wire/shared-memory.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import type { VectorMath } from '../../protocol/state/vector-math.ts';
import { createVectorCodec } from '../../protocol/wire/vector-codec.ts';
import type { Fleet } from '../fleet.ts';
import type { RunConfig } from '../run-config.ts';
import type { AllReduce } from './all-reduce.ts';
import { areLocal, chooseAllReduce } from './choose.ts';
import type { AllReduceKind } from './choose.ts';
import { createElasticRing } from './elastic-ring.ts';
import { createStar } from './star.ts';

export interface EstablishOptions {
  readonly config: Pick<RunConfig, 'allReduce' | 'wire' | 'stepTimeoutSeconds'>;
  /** Its members have the replica's state. */
  readonly fleet: Fleet;
  readonly replica: Replica;
  /** What travels. */
  readonly exchange: Exchange;
  /** Where a star's averages lie. */
  readonly allocateAverage: PayloadAllocator;
  readonly vectorMath: VectorMath;
  /** Why this run can have no ring, if it cannot, whatever was asked for. */
  readonly ringObstacle?: string | undefined;
  /**
   * What the run began with, if it is resumed: the bits depend on it, and what the rule goes by, or what stands in a
   * ring's way, may be another thing by now.
   */
  readonly begunWith?: AllReduceKind | undefined;
  /** For what the user should know: which all-reduce it is, unless it is the star by choice. */
  readonly say: (line: string) => void;
}

export interface Established {
  readonly allReduce: AllReduce;
  /** A ring also when the star stands in for a while, of workers that may form one later. */
  readonly kind: AllReduceKind;
}

/** Members that fail on the way are lost. */
export async function establishAllReduce(options: EstablishOptions): Promise<Established> {
  const { config, begunWith, say } = options;
  const wanted = config.allReduce === 'auto' ? choose(options) : config.allReduce;
  if (begunWith === 'star' && wanted === 'ring') say('all-reduce: star, because the run began with it');
  const established = await establish(begunWith ?? wanted, options);
  if (begunWith === 'ring' && established.kind === 'star') {
    say('all-reduce: the run began with a ring: it may end with other bits than it would have in one');
  }
  return established;
}

/** By the rule. */
function choose({ config, fleet, exchange, vectorMath }: EstablishOptions): AllReduceKind {
  const { members } = fleet;
  const { payloadBytes } = createVectorCodec(config.wire, exchange.layout, vectorMath);
  const roundTripMs = Math.max(0, ...members.map((member) => member.roundTripMs ?? 0));
  return chooseAllReduce({ numWorkers: members.length, payloadBytes, areLocal: areLocal(members), roundTripMs });
}

async function establish(wanted: AllReduceKind, options: EstablishOptions): Promise<Established> {
  const { config, fleet, replica, exchange, allocateAverage, vectorMath, ringObstacle, say } = options;
  const { wire } = config;
  const stepTimeoutMs = config.stepTimeoutSeconds * 1000;
  const makeStar = (forFleet: Fleet) =>
    createStar(forFleet, replica, { stepTimeoutMs, wire, exchange, allocateAverage, say }, vectorMath);
  if (wanted === 'star') return { allReduce: makeStar(fleet), kind: 'star' };
  if (ringObstacle !== undefined) {
    say(`all-reduce: star, because ${ringObstacle}`);
    return { allReduce: makeStar(fleet), kind: 'star' };
  }
  const allReduce = await createElasticRing({ fleet, replica, stepTimeoutMs, makeStar, say });
  return { allReduce, kind: allReduce.isGivenUp ? 'star' : 'ring' };
}
