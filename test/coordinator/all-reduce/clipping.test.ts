/** `--clip-norm` in a run: the average is clipped, and every replica does it alike. */
import { expect, test } from 'vitest';
import { PLAIN_SGD } from '../../helpers/optimizers.ts';
import { startAllReduce } from '../../helpers/all-reduce-cluster.ts';
import { runCluster, runConfig } from '../../helpers/cluster.ts';

const CLIP_NORM = 0.5;
const normOf = (values: readonly number[]) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));

test.each(['star', 'ring'] as const)(
  'a %s clips the average alike on all replicas, and no statistics',
  async (name) => {
    const optimizer = { ...PLAIN_SGD, clipNorm: CLIP_NORM };
    const { allReduce, planOf, meanOf, replica, states } = await startAllReduce(
      { workers: 3, microbatches: 5, allReduce: name, optimizer },
      64,
    );
    const before = replica.parameters.slice();
    allReduce.open(planOf(1));
    expect(await allReduce.collect(planOf(1))).toMatchObject({ isFinite: true });
    allReduce.distribute(planOf(1));
    allReduce.apply(planOf(1));
    await allReduce.confirm();

    const { gradient, statistics } = meanOf(1);
    const norm = normOf([...gradient]);
    expect(norm).toBeGreaterThan(2 * CLIP_NORM);
    for (const [i, value] of replica.parameters.entries()) {
      const expected = before[i]! - (CLIP_NORM / norm) * gradient[i]!;
      if (Math.abs(value - expected) > 1e-6) expect.fail(`parameter ${i} is ${value}, expected ${expected}`);
    }
    for (const [i, value] of replica.buffers.entries()) {
      const old = i < replica.buffers.length / 2 ? 0 : 1;
      expect(value).toBeCloseTo(0.9 * old + 0.1 * statistics[i]!, 5);
    }
    expect(states).toHaveLength(3);
    for (const { parameters, buffers } of states) {
      expect(parameters).toEqual(replica.parameters);
      expect(buffers).toEqual(replica.buffers);
    }
  },
);

test.each(['sgd', 'adam'] as const)(
  'training with %s and clipping ends with the same bits on 1 to 4 workers',
  async (rule) => {
    const optimizer = { ...runConfig().optimizer, name: rule, clipNorm: CLIP_NORM };
    const [one, ...others] = await Promise.all([
      ...[1, 2, 3, 4].map((workers) => runCluster({ config: runConfig({ workers, optimizer }) })),
      runCluster({ config: runConfig({ optimizer }), shareReplica: true }),
    ]);
    for (const { replica } of others) expect(replica.state).toEqual(one.replica.state);
    const unclipped = await runCluster({ config: runConfig({ optimizer: { ...runConfig().optimizer, name: rule } }) });
    expect(unclipped.replica.state).not.toEqual(one.replica.state);
  },
);
