/** Member limits: how much a run's model lets a member send at once, and leave unread. */
import type { VectorLayout } from '../../protocol/vectors/layout.ts';
import { bucketsOf } from '../../protocol/vectors/buckets.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import { NO_PEER_LIMITS } from '../../protocol/wire/peer-limits.ts';
import type { PeerLimits } from '../../protocol/wire/peer-limits.ts';
import { createVectorCodec } from '../../protocol/vectors/vector-codec.ts';
import { stepSizesOf } from '../run-config.ts';
import type { RunConfig } from '../run-config.ts';
import { gradientsUnderWay } from './shared-memory.ts';

/**
 * The largest payload is a whole vector, a contribution or in a ring the state, or an evaluation's predictions. Waiting for a member may be a snapshot
 * and an average, both twice for slow links, or while it joins a range of the dataset. Messages come as fast as steps
 * do, so there is no limit on their number in a time; those that may wait unread are all that a step asks of a member, for
 * the step may have to wait for a disk.
 *
 * Silence counts only beyond what a step may take: its deadline finds a member that hangs, see `step/deadlines.ts`.
 *
 * - `state`: of a replica, whole
 * - `predictionBytes`: of the longest answer with predictions. Default: none are asked for
 */
export function memberLimitsOf(
  config: RunConfig,
  layout: VectorLayout,
  state: Float32Array,
  predictionBytes = 0,
): PeerLimits {
  const { payloadBytes } = createVectorCodec(config.wire, layout);
  const maxPayloadBytes = Math.max(payloadBytes, state.byteLength, predictionBytes);
  const numVectors = gradientsUnderWay(stepSizesOf(config).microbatches);
  return {
    ...NO_PEER_LIMITS,
    maxPayloadBytes,
    maxQueuedBytes: 4 * maxPayloadBytes + LIMITS.datasetRangeBytes + LIMITS.queueSlackBytes,
    maxUnreadMessages: numVectors * bucketsOf(layout) + LIMITS.queueSlackMessages,
    maxUnreadBytes: numVectors * maxPayloadBytes + LIMITS.queueSlackBytes,
    maxSilenceMs: Math.max(LIMITS.silenceMs, 1000 * config.stepTimeoutSeconds),
  };
}
