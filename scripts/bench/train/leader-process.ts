/**
 * A contender's process, our side: the coordinator of a run that takes real steps on real samples, with worker
 * processes that it starts, or as the baseline. See `contender.ts` for what it is told and answers.
 */
import { createFleet } from '../../../coordinator/members/fleet.ts';
import { createMembership } from '../../../coordinator/members/membership.ts';
import { selectSamples } from '../../../coordinator/dataset/select-samples.ts';
import { createRunMemory } from '../../../coordinator/members/shared-memory.ts';
import { sharedMemorySystem } from '../../../worker/machine/shared-memory.ts';
import { checkRunConfig, welcomeOf } from '../../../coordinator/run-config.ts';
import { synchronise } from '../../../coordinator/members/fleet.ts';
import { ConfigError } from '../../../protocol/errors.ts';
import { canonicalFashionMnist } from '../../../protocol/data/fashion-mnist.ts';
import { readDatasetFiles } from '../../../protocol/data/fashion-mnist-files.ts';
import { planModel } from '../../../protocol/state/model-spec.ts';
import { createReplica } from '../../../protocol/state/replica.ts';
import { keepFreedMemory } from '../../../worker/machine/memory.ts';
import { fastestVectorMath } from '../../../worker/machine/vector-math.ts';
import { answerRequests } from '../common/contender-answers.ts';
import type { Work } from '../common/contender-answers.ts';
import { configOf, parseTrainJob } from './job.ts';
import type { TrainJob } from './job.ts';
import { countPageFaults } from './page-faults.ts';
import { openSteps } from './steps.ts';
import { joinInProcess, startWorkers } from './workers.ts';

keepFreedMemory();
await answerRequests(() => prepare(parseTrainJob(process.argv.at(-1)!)));
// Workers end with this process, whose IPC channels close.
process.exit();

async function prepare(job: TrainJob): Promise<Work> {
  const { engine, dataFolder, numWorkers } = job;
  const bytes = await readDatasetFiles([{ folder: dataFolder, origin: 'the benchmark', isExplicit: true }]);
  if (!bytes) throw new ConfigError(`${dataFolder}: no Fashion-MNIST there: run \`gradsock data fetch\``);
  const data = { ...canonicalFashionMnist(bytes), name: 'Fashion-MNIST' };
  const config = configOf(job, data.splits.train.numSamples);
  checkRunConfig(config);
  const dataset = selectSamples(data, config);
  const vectorMath = fastestVectorMath();
  const replica = createReplica(planModel(config.model), config.optimizer, config.seed, vectorMath);

  const failure = new AbortController();
  const system = job.sharesMemory ? sharedMemorySystem() : undefined;
  const memory = createRunMemory(config, replica.plan, system, (line) => void process.stderr.write(`${line}\n`));
  const { allocateAverage } = memory;
  const membership = createMembership({
    memory,
    dataset: data,
    welcome: welcomeOf(config, 'benchmark', dataset),
    log: (level, line) => {
      if (level === 'warn') process.stderr.write(`${line}\n`);
    },
  });
  const context = { membership, engine, onFailure: (error: Error) => failure.abort(error) };
  let processIds: readonly number[] = [];
  if (numWorkers === 'baseline') joinInProcess({ ...context, replica, dataset, vectorMath });
  else processIds = await startWorkers(numWorkers, dataFolder, context);

  const joinTimeoutMs = config.joinTimeoutSeconds * 1000;
  const members = await membership.waitForWorkers(config.workers, joinTimeoutMs, failure.signal);
  const stepTimeoutMs = config.stepTimeoutSeconds * 1000;
  const fleet = createFleet(members, { replica, stepTimeoutMs, waitMs: 0, maxMembers: config.microbatches });
  await synchronise(fleet, replica, stepTimeoutMs);
  const [member] = members;
  return {
    description: `${member!.engine} on ${member!.device}`,
    next: openSteps({
      config,
      numTrainSamples: dataset.train.numSamples,
      fleet,
      replica,
      vectorMath,
      allocateAverage,
    }),
    ...(numWorkers !== 'baseline' && { workerPageFaults: () => countPageFaults(processIds) }),
  };
}
