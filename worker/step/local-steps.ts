/**
 * Local steps: a worker's part of a round in which nothing is averaged until its end.
 *
 * For each microbatch a workspace starts from the state that all replicas share, takes one ordinary step on that
 * microbatch of each global batch of the round, and contributes the change of the whole state that this made. So what a
 * round computes depends on its microbatches, not on which worker has which. Sources: Stich, Local SGD converges fast and
 * communicates little, 2019; for averaging the momentum too, Yu, Jin and Yang, On the linear speedup analysis of
 * communication efficient momentum SGD, 2019.
 */
import { ProtocolError } from '../../protocol/errors.ts';
import { isFiniteVector } from '../../protocol/vectors/vector-math.ts';
import type { Exchange } from '../../protocol/state/exchange.ts';
import type { UpdateRates } from '../../protocol/vectors/optimizer.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import type { Engine, Microbatch } from '../engines/engine.ts';
import { createVector } from './contribution.ts';
import type { Contribution } from './contribution.ts';
import { createSampleSource } from './sample-source.ts';
import type { SourceOptions } from './sample-source.ts';

interface LocalOptions extends SourceOptions {
  readonly engine: Engine;
  /** The state that all replicas share: read only. */
  readonly replica: Replica;
  /** Where the steps are taken: the engine was created on its parameters. Afterwards it holds what they led to. */
  readonly workspace: Replica;
  readonly exchange: Pick<Exchange, 'layout'>;
}

/**
 * The state after the round's steps less that before, as {@link Replica.deltaFrom} lays it out. A microbatch that is empty,
 * as in a short last batch, takes no step. Rejects with ERR_SHAPE_MISMATCH for an assignment without rates or beyond the
 * epoch.
 */
export function createLocalContribution(options: LocalOptions): Contribution {
  const { engine, vectorMath, replica, workspace, exchange } = options;
  const samplesOf = createSampleSource(options);
  const mean = createVector(replica.plan);

  /** One ordinary step of the workspace: the mean gradient, its statistics, the optimizer's rule. */
  const takeStep = async (microbatch: Microbatch, rates: UpdateRates) => {
    const sums = await engine.computeGradient(microbatch, mean);
    vectorMath.divideVector(mean.gradient, mean.gradient, sums.numSamples);
    workspace.applyUpdate(mean.values, rates, workspace.step + 1);
    return sums;
  };

  return {
    layout: exchange.layout,
    async compute({ step, epoch, stepInEpoch, localRates }, index, vector) {
      if (!localRates) throw new ProtocolError('ERR_SHAPE_MISMATCH', 'a round of local steps without rates', { step });
      workspace.restore(replica.state, step - 1);
      const totals = { lossSum: 0, numCorrect: 0, numSamples: 0, computeMs: 0 };
      for (const [i, rates] of localRates.entries()) {
        const microbatch = samplesOf(epoch, stepInEpoch + i, index);
        if (microbatch.numSamples === 0) continue;
        const startMs = performance.now();
        const { lossSum, numCorrect, numSamples } = await takeStep(microbatch, rates);
        totals.computeMs += performance.now() - startMs;
        totals.lossSum += lossSum;
        totals.numCorrect += numCorrect;
        totals.numSamples += numSamples;
      }
      workspace.deltaFrom(replica, vector.values);
      return totals;
    },
    describeNonFinite({ lossSum }, { values }) {
      if (!Number.isFinite(lossSum)) return 'the loss';
      return isFiniteVector(values) ? undefined : 'the state after local steps';
    },
  };
}
