/**
 * A process that carries out one run as `gradsock train` does, with worker processes of its own, takes the moment of every
 * step's end, does to a worker what its job says, and sends the trace over its IPC channel.
 */
import { fileURLToPath } from 'node:url';
import { fashionMnistSource } from '../../../coordinator/dataset/dataset-source.ts';
import { carryOutRun } from '../../../coordinator/main.ts';
import type { SummonContext, WorkerSource } from '../../../coordinator/run-options.ts';
import { startServer } from '../../../coordinator/server/server.ts';
import { keepFreedMemory } from '../../../worker/machine/memory.ts';
import { sharedMemorySystem } from '../../../worker/machine/shared-memory.ts';
import { fastestVectorMath } from '../../../worker/machine/vector-math.ts';
import type { RunConfig } from '../../../coordinator/run-config.ts';
import { DEFAULT_RECIPE } from '../../flags/recipe.ts';
import { startLocalWorkers } from '../../run/local-workers.ts';
import { configOf } from '../train/job.ts';
import { parseFaultsJob } from './job.ts';
import type { Fault, FaultsJob, RunTrace } from './job.ts';

const PROGRAM = fileURLToPath(new URL('../../cli.js', import.meta.url));

const { globalBatch: GLOBAL_BATCH } = DEFAULT_RECIPE;

/** A stopped worker is killed this many steps after it was found lost: those after its loss are measured without it. */
const STEPS_UNTIL_KILLED = 300;

type Moments = { -readonly [K in keyof RunTrace]: RunTrace[K] } & { stepEndsMs: number[][] };

process.on('disconnect', () => process.exit(1));
keepFreedMemory();
const trace = await traceRun(parseFaultsJob(process.argv.at(-1)!));
process.send!(trace, () => process.exit());

async function traceRun(job: FaultsJob): Promise<RunTrace> {
  const { fault } = job;
  const moments: Moments = { parametersSha256: '', stepEndsMs: [] };
  let numSteps = 0;
  let workers: ReturnType<typeof startLocalWorkers> | undefined;
  let victim: number | undefined;
  let killAtStep = Infinity;

  const strike = ({ signal }: Fault) => {
    victim = workers!.processIds.at(-1)!;
    moments.faultMs = performance.now();
    process.kill(victim, signal);
  };
  const result = await carryOutRun({
    config: configOfRun(job),
    origin: {},
    runDir: job.runDir,
    dataset: fashionMnistSource(job.dataFolder, () => {}),
    checkpointSettings: { every: job.checkpointEvery, keep: 3 },
    vectorMath: fastestVectorMath(),
    sharedMemory: sharedMemorySystem(),
    signal: new AbortController().signal,
    warn: (line) => void process.stderr.write(`${line}\n`),
    reporter: {
      line(text) {
        // A worker that hangs is late first: others do its work from then on.
        const isFound =
          moments.lostMs === undefined && (text.startsWith('lost worker') || text.includes(' is late in step'));
        if (moments.faultMs !== undefined && isFound) {
          moments.lostMs = performance.now();
          if (fault?.signal === 'SIGSTOP') killAtStep = numSteps + STEPS_UNTIL_KILLED;
        }
        if (text.includes('takes part from')) moments.replacedMs = performance.now();
      },
      onProgress({ epoch }) {
        (moments.stepEndsMs[epoch - 1] ??= []).push(performance.now());
        numSteps++;
        if (numSteps === fault?.afterStep) setTimeout(strike, fault.delayMs, fault);
        if (numSteps === killAtStep) process.kill(victim!, 'SIGKILL');
      },
    },
    async summonWorkers(context) {
      const source = await startWorkers(job, context);
      workers = source.workers;
      return source;
    },
  });
  if (result.status !== 'completed') throw new Error(`the run has ${result.status}: ${result.error?.message ?? ''}`);
  moments.parametersSha256 = result.parametersSha256;
  return moments;
}

/** The default recipe's run. */
function configOfRun({ model, engine, dataFolder, numWorkers, trainSamples, ...sizes }: FaultsJob): RunConfig {
  const job = {
    model,
    engine,
    dataFolder,
    globalBatch: GLOBAL_BATCH,
    numWorkers,
    wire: 'f32',
    sharesMemory: true,
  } as const;
  const { epochs, microbatches, testSamples } = sizes;
  return { ...configOf(job, trainSamples), epochs, microbatches, testSamples, stepTimeoutSeconds: 120 };
}

async function startWorkers({ engine, numWorkers, dataFolder }: FaultsJob, { membership, onFailure }: SummonContext) {
  const health = () => ({});
  const address = { host: '127.0.0.1', port: 0 };
  const server = await startServer(address, health, (...connection) => membership.admit(...connection), { numWorkers });
  const workers = startLocalWorkers({
    numWorkers,
    program: PROGRAM,
    joinUrl: server.joinUrl,
    flags: ['--engine', engine, '--threads', '1', '--data-dir', dataFolder, '--quiet'],
    log: () => {},
    onFailure,
  });
  const source: WorkerSource = {
    async stop() {
      await workers.stop();
      await server.close();
    },
  };
  return { ...source, workers };
}
