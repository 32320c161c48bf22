import { expect, test } from 'vitest';
import { memberLimitsOf } from '../../../coordinator/members/limits.ts';
import { createExchange } from '../../../protocol/state/exchange.ts';
import { planModel } from '../../../protocol/state/model-spec.ts';
import { createReplica } from '../../../protocol/state/replica.ts';
import { LIMITS } from '../../../protocol/wire/limits.ts';
import { createVectorCodec } from '../../../protocol/vectors/vector-codec.ts';
import { runConfig, TINY_MODEL } from '../../helpers/cluster.ts';

test.each(['f32', 'int8'] as const)('a member may send its whole state or gradient as %s, and no more', (wire) => {
  const config = runConfig({ wire });
  const replica = createReplica(planModel(TINY_MODEL), config.optimizer, config.seed);
  const { layout } = createExchange(replica, 1, 4);
  const limits = memberLimitsOf(config, layout, replica.state);
  const longest = Math.max(replica.state.byteLength, createVectorCodec(wire, layout).payloadBytes);
  expect(limits.maxPayloadBytes).toBe(longest);
  expect(limits.maxQueuedBytes).toBe(4 * longest + LIMITS.datasetRangeBytes + LIMITS.queueSlackBytes);
  // Of four microbatches a member has at most six whole subtrees under way, each in one bucket.
  expect(limits.maxUnreadBytes).toBe(6 * longest + LIMITS.queueSlackBytes);
  expect(limits.maxUnreadMessages).toBe(6 + LIMITS.queueSlackMessages);
});

test('a member of a small model may send the predictions of a whole evaluation', () => {
  const config = runConfig();
  const replica = createReplica(planModel(TINY_MODEL), config.optimizer, config.seed);
  const { layout } = createExchange(replica, 1, 4);
  expect(memberLimitsOf(config, layout, replica.state, 80_000).maxPayloadBytes).toBe(80_000);
});

test.each([
  [120, 120_000],
  [3, LIMITS.silenceMs],
])('with a step timeout of %i s, a member may be silent for %i ms', (stepTimeoutSeconds, maxSilenceMs) => {
  const config = runConfig({ stepTimeoutSeconds });
  const replica = createReplica(planModel(TINY_MODEL), config.optimizer, config.seed);
  const { layout } = createExchange(replica, 1, 4);
  expect(memberLimitsOf(config, layout, replica.state)).toMatchObject({
    maxSilenceMs,
  });
});
