/**
 * Establishes the all-reduce of a run: the one that it began with, if it is resumed; else the one that was asked for, or
 * that the rule takes; the star where no ring can be.
 */
import type { Exchange } from '../../protocol/state/exchange.ts';
import type { PayloadAllocator } from '../../protocol/wire/shared-memory.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import type { VectorMath } from '../../protocol/vectors/vector-math.ts';
import { createVectorCodec } from '../../protocol/vectors/vector-codec.ts';
import type { Fleet } from '../members/fleet.ts';
import type { Member } from '../members/member.ts';
import type { OnReissue } from '../reporting/reported-event.ts';
import type { RunConfig } from '../run-config.ts';
import type { AllReduce, OnAsk } from './all-reduce.ts';
import { areLocal, chooseAllReduce, needsRoundTrip } from './choose.ts';
import type { Choice } from './choose.ts';
import type { AllReduceKind } from '../run-config.ts';
import { createElasticRing } from './ring/elastic-ring.ts';
import { createStar } from './star/star.ts';

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
  /** For what the user should know: which all-reduce it is, in one line, unless the star was asked for. */
  readonly say: (line: string) => void;
  /** Told of microbatches that are asked for again. */
  readonly onReissue?: OnReissue | undefined;
  /** Told when members are sent work. */
  readonly onAsk?: OnAsk | undefined;
}

export interface Established {
  readonly allReduce: AllReduce;
  /** A ring also when the star stands in for a while, of workers that may form one later. */
  readonly kind: AllReduceKind;
}

/** Of one member: fewer than it allows in a second, see `LIMITS.messagesPerSecond`. */
const NUM_PINGS = 8;
const LONGEST_PING_MS = 1000;

/** Members that fail on the way are lost. */
export async function establishAllReduce(options: EstablishOptions): Promise<Established> {
  const { config, begunWith, say } = options;
  if (config.allReduce === 'auto' && !begunWith) return byTheRule(options);
  if (begunWith === 'star' && config.allReduce === 'ring') say('all-reduce: star, because the run began with it');
  const wanted = begunWith ?? config.allReduce;
  const established = await establish(wanted === 'auto' ? 'star' : wanted, options);
  if (begunWith === 'ring' && established.kind === 'star') {
    say('all-reduce: the run began with a ring: it may end with other bits than it would have in one');
  }
  return established;
}

/** Says what was chosen and why: the star here, a ring when it stands, or why it does not. */
async function byTheRule(options: EstablishOptions): Promise<Established> {
  const { ringObstacle } = options;
  // Before the rule: workers that join through a tunnel look as if they were on this machine.
  const choice: Choice = ringObstacle === undefined ? await choose(options) : { kind: 'star', why: ringObstacle };
  const { kind, why } = choice;
  if (kind === 'star') options.say(`all-reduce: star, because ${why}`);
  return establish(kind, options, why);
}

async function choose({ config, fleet, exchange, vectorMath }: EstablishOptions): Promise<Choice> {
  const { members } = fleet;
  const { payloadBytes } = createVectorCodec(config.wire, exchange.layout, vectorMath);
  const facts = { numWorkers: members.length, payloadBytes, areLocal: areLocal(members) };
  if (!needsRoundTrip(facts)) return chooseAllReduce(facts);
  return chooseAllReduce({ ...facts, roundTripMs: await longestRoundTrip(members) });
}

/**
 * Milliseconds to the farthest member and back. Of each member the least of several: what is more than that was spent on
 * scheduling, and says nothing of the link. A member that answers none counts as far away.
 */
export async function longestRoundTrip(members: readonly Pick<Member, 'transport'>[]): Promise<number> {
  const each = members.map(async ({ transport }) => {
    let leastMs: number | undefined;
    for (let i = 0; i < NUM_PINGS; i++) {
      const roundTripMs = await transport.measureRoundTrip(LONGEST_PING_MS);
      if (roundTripMs === undefined) break;
      leastMs = Math.min(leastMs ?? Infinity, roundTripMs);
    }
    return leastMs ?? LONGEST_PING_MS;
  });
  return Math.max(0, ...(await Promise.all(each)));
}

async function establish(wanted: AllReduceKind, options: EstablishOptions, why?: string): Promise<Established> {
  const { config, fleet, replica, exchange, allocateAverage, vectorMath, ringObstacle, say, onReissue, onAsk } =
    options;
  const { wire } = config;
  const stepTimeoutMs = config.stepTimeoutSeconds * 1000;
  const makeStar = (serve?: Fleet['serve']) =>
    createStar(
      fleet,
      replica,
      { stepTimeoutMs, wire, exchange, allocateAverage, serve, say, onReissue, onAsk },
      vectorMath,
    );
  if (wanted === 'star') return { allReduce: makeStar(), kind: 'star' };
  if (ringObstacle !== undefined) {
    say(`all-reduce: star, because ${ringObstacle}`);
    return { allReduce: makeStar(), kind: 'star' };
  }
  const allReduce = await createElasticRing({ fleet, replica, stepTimeoutMs, makeStar, say, onReissue, onAsk, why });
  return { allReduce, kind: allReduce.isGivenUp ? 'star' : 'ring' };
}
