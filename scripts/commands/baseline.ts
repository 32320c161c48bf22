/** `gradsock baseline`: single-node mode. The same loop, with one worker session in this process and no sockets. */
import { Command } from 'commander';
import { carryOutRun } from '../../coordinator/main.ts';
import { describeError } from '../../protocol/errors.ts';
import { memoryTransportPair } from '../../protocol/wire/transport.ts';
import { announceChoice } from '../../worker/engines/passed-over.ts';
import { checkEngine, createEngine } from '../../worker/engines/choose-engine.ts';
import { runWorkerSession } from '../../worker/session.ts';
import { addEngineFlags, addRunFlags } from '../flags/run-flags.ts';
import type { EngineFlags, RunFlags } from '../flags/run-flags.ts';
import { exitCodeOf } from '../process.ts';
import { withResume } from '../flags/resume.ts';
import { runOptionsOf, warner } from '../run/run-options.ts';

const JOIN_TIMEOUT_SECONDS = 120;

const EXAMPLES = `
Examples:
  gradsock baseline --model dense --epochs 5
  gradsock baseline --model my-model.json --optimizer adamw --learning-rate 0.001`;

export function baselineCommand(): Command {
  const command = new Command('baseline').addHelpText('after', EXAMPLES);
  addEngineFlags(addRunFlags(command)).action(async (given: RunFlags & EngineFlags) => {
    const flags = withResume(given, command);
    const options = await runOptionsOf(flags, 1, JOIN_TIMEOUT_SECONDS);
    const { threads, device } = flags;
    const result = await carryOutRun({
      ...options,
      ownsWorkers: true,
      prepare: () => checkEngine(flags.engine, device),
      summonWorkers({ membership, replica, samples, onFailure }) {
        const [coordinatorEnd, workerEnd] = memoryTransportPair(['coordinator', 'this process']);
        void membership.admit(coordinatorEnd);
        const session = runWorkerSession(workerEnd, {
          name: 'baseline',
          vectorMath: options.vectorMath,
          sharedReplica: replica,
          loadDataset: () => Promise.resolve(samples),
          createEngine: async (engineOptions) => {
            const chosen = await createEngine(flags.engine, { ...engineOptions, threads, device });
            announceChoice(chosen, { log: options.reporter.line, warn: warner(flags.quiet, options.reporter.line) });
            return chosen.engine;
          },
        });
        const ended = session.then(
          () => {},
          (error: unknown) => onFailure(error instanceof Error ? error : new Error(describeError(error))),
        );
        return Promise.resolve({ stop: () => ended });
      },
    });
    process.exitCode = exitCodeOf(result);
  });
  return command;
}
