/** `gradsock train`: a coordinator and N local worker processes, in one command. */
import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import { createEntrance } from '../../coordinator/server/entrance.ts';
import { carryOutRun } from '../../coordinator/main.ts';
import { startServer } from '../../coordinator/server/server.ts';
import { checkEngine } from '../../worker/engines/choose-engine.ts';
import { upTo } from '../flags/values.ts';
import { allReduceFlags } from '../flags/distribution.ts';
import { addEngineFlags, addRunFlags, flag } from '../flags/run-flags.ts';
import type { EngineFlags, RunFlags } from '../flags/run-flags.ts';
import { startLocalWorkers } from '../run/local-workers.ts';
import { exitCodeOf } from '../process.ts';
import { withResume } from '../flags/resume.ts';
import { runOptionsOf, warner } from '../run/run-options.ts';
import { runToken } from '../run/token.ts';

const EXAMPLES = `
Examples:
  gradsock train --model conv --epochs 5
  gradsock train --workers 4 --recipe best --run-dir runs/best`;

/** Local workers need no more than to start, find the data and build their engines. */
const LOCAL_JOIN_TIMEOUT_SECONDS = 120;

/** On one machine: each is a process of some 100 MB. */
const MOST_LOCAL_WORKERS = 1024;

/** One worker a core: at least two, for training across workers is what the command is for, at most four. */
const defaultNumWorkers = () => Math.min(4, Math.max(2, availableParallelism()));

export function trainCommand(): Command {
  const command = new Command('train').addHelpText('after', EXAMPLES);
  const workers = flag('--workers <n>', 'worker processes')
    .argParser(upTo(MOST_LOCAL_WORKERS))
    .default(defaultNumWorkers(), 'one per core, 2 to 4');
  addEngineFlags(addRunFlags(command, { distribution: [workers, ...allReduceFlags()] })).action(
    async (given: RunFlags & EngineFlags & { workers: number }) => {
      const flags = withResume(given, command);
      const { engine, device, threads, dataDir, quiet } = flags;
      const { token } = runToken({});
      const options = { ...(await runOptionsOf(flags, flags.workers, LOCAL_JOIN_TIMEOUT_SECONDS)), token };
      let numMembers = () => 0;
      const health = () => ({ status: 'running', workers: numMembers() });
      const address = { host: '127.0.0.1', port: 0 };
      const entrance = createEntrance((admit) => startServer(address, health, admit, { numWorkers: flags.workers }));
      const result = await carryOutRun({
        ...options,
        ownsWorkers: true,
        async prepare() {
          await checkEngine(engine, device);
          await entrance.take();
        },
        summonWorkers({ membership, onFailure }) {
          numMembers = () => membership.members.length;
          entrance.open((transport, isSameMachine) => membership.admit(transport, isSameMachine));
          const workers = startLocalWorkers({
            numWorkers: flags.workers,
            joinUrl: entrance.joinUrl,
            token,
            stepTimeoutMs: options.config.stepTimeoutSeconds * 1000,
            flags: [
              ...['--engine', engine, '--threads', String(threads)],
              ...(quiet ? ['--quiet'] : []),
              ...(device === undefined ? [] : ['--device', device]),
              ...(dataDir === undefined ? [] : ['--data-dir', dataDir]),
            ],
            log: warner(quiet, options.reporter.line),
            onFailure,
          });
          return Promise.resolve({ stop: () => workers.stop() });
        },
      }).finally(() => entrance.close());
      process.exitCode = exitCodeOf(result);
    },
  );
  return command;
}
