/** Establishes the all-reduce of a run: the one that was asked for, or that the rule takes; the star where no ring can be. */
import type { Exchange } from '../../protocol/state/exchange.ts';
import type { PayloadAllocator } from '../../protocol/wire/shared-memory.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import type { VectorMath } from '../../protocol/state/vector-math.ts';
import { createVectorCodec } from '../../protocol/wire/vector-codec.ts';
import type { Fleet } from '../fleet.ts';
import type { RunConfig } from '../run-config.ts';
import type { AllReduce } from './all-reduce.ts';
import { areLocal, chooseAllReduce } from './choose.ts';
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
  /** For what the user should know: which all-reduce it is, unless it is the star by choice. */
  readonly say: (line: string) => void;
}

/** Members that fail on the way are lost. */
export async function establishAllReduce(options: EstablishOptions): Promise<AllReduce> {
  const { config, fleet, replica, exchange, allocateAverage, vectorMath, ringObstacle, say } = options;
  const { wire } = config;
  const members = [...fleet.members];
  const stepTimeoutMs = config.stepTimeoutSeconds * 1000;
  const { payloadBytes } = createVectorCodec(wire, exchange.layout, vectorMath);
  const roundTripMs = Math.max(0, ...members.map((member) => member.roundTripMs ?? 0));
  const facts = { numWorkers: members.length, payloadBytes, areLocal: areLocal(members), roundTripMs };
  const wanted = config.allReduce === 'auto' ? chooseAllReduce(facts) : config.allReduce;
  const makeStar = (forFleet: Fleet) =>
    createStar(forFleet, replica, { stepTimeoutMs, wire, exchange, allocateAverage, say }, vectorMath);
  if (wanted === 'star') return makeStar(fleet);
  if (ringObstacle !== undefined) {
    say(`all-reduce: star, because ${ringObstacle}`);
    return makeStar(fleet);
  }
  return createElasticRing({ fleet, replica, stepTimeoutMs, makeStar, say });
}
