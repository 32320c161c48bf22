/** `gradsock worker URL`: joins a coordinator and computes gradients until the run is over. */
import { Command, Option } from 'commander';
import { countOf } from '../../protocol/counts.ts';
import { printableLines } from '../../protocol/errors.ts';
import { prepareNative } from '../../worker/engines/native/build/prepare-native.ts';
import { addWorkerFlags } from '../flags/commands.ts';
import type { WorkerFlags } from '../flags/commands.ts';
import { argumentsGiven, optionsGiven } from '../flags/given.ts';
import { inGroup } from '../flags/groups.ts';
import { addFlags } from '../flags/run-flags.ts';
import { upToOrNone } from '../flags/values.ts';
import { startWorker } from '../library/worker.ts';
import { EXIT, interruptSignal, Interruption, stopEndingOnSignals } from '../process.ts';
import { askForToken, hasTerminal } from '../run/ask-secret.ts';
import { endOfInput } from '../run/end-of-input.ts';
import { joinSourceOf } from '../run/join-source.ts';
import type { JoinPlace } from '../run/join-source.ts';
import { groupSizeOf, runWorkerGroup } from '../run/worker-group.ts';
import { LEAVE_MESSAGE, tellLauncher, tellOutcome } from '../run/worker-process.ts';

const EXAMPLES = `
Examples:
  gradsock worker ws://192.168.1.10:7878 --workers 0
  gradsock worker --join-file /shared/join --engine onnx --threads 4`;

/** More processes than any machine has cores: each has some 100 MB. */
const MOST_WORKERS = 1024;

/** Flags of the command alone, which the library does not have. */
const OWN = [
  ...(['quiet', 'joinFile', 'joinStdin', 'discover', 'endWithStdin', 'token', 'tokenFile'] as const),
  ...(['workers', 'progress'] as const),
] as const;

interface WorkerCommandFlags extends WorkerFlags {
  /** 0: as many as fit this machine. */
  workers: number;
  /** False with --no-progress. */
  progress: boolean;
}

export function workerCommand(): Command {
  const command = new Command('worker')
    .argument('[urls...]', "the coordinator's URL, as it prints it: ws://HOST:PORT; several URLs are tried in turn")
    .addHelpText('after', EXAMPLES);
  addWorkerFlags(command);
  addFlags(command, inGroup('engine', [workersFlag(), progressFlag()]));
  return command.action(async (joinUrls: readonly string[], flags: WorkerCommandFlags) => {
    const warn = (line: string) => process.stderr.write(`${printableLines(line)}\n`);
    const log = flags.quiet ? () => {} : warn;
    const place = await joinSourceOf(joinUrls, flags, {
      command: 'worker',
      stdin: process.stdin,
      isOnCommandLine: (name) => command.getOptionValueSource(name) === 'cli',
      ask: hasTerminal() ? (url) => askForToken(url, flags.wait) : undefined,
      warn,
    });
    const launcher = flags.endWithStdin ? endOfInput(process.stdin, () => process.exit(EXIT.interrupted)) : undefined;
    const signal = launcher ? AbortSignal.any([workerSignal(warn), launcher.signal]) : workerSignal(warn);
    const numWorkers = flags.workers === 0 ? await groupSizeOf(flags) : flags.workers;
    if (numWorkers > 1) {
      await prepareNative({ log, warn, signal });
      log(`${countOf(numWorkers, 'worker')} of ${countOf(flags.threads, 'thread')} each`);
      process.exitCode = await runWorkerGroup({
        ...{ numWorkers, signal, log: warn },
        nameOf: (index) => `${flags.name}-${index + 1}`,
        args: [
          ...joinArgumentsOf(place),
          ...argumentsGiven(command, ...OWN, 'name'),
          ...(flags.quiet ? ['--quiet'] : []),
          ...(flags.progress ? [] : ['--no-progress']),
        ],
        token: place.token === false ? undefined : place.token,
      }).finally(() => launcher?.close());
      return;
    }
    const options = optionsGiven<WorkerCommandFlags, (typeof OWN)[number]>(command, ...OWN);
    const worker = startWorker({
      ...{ ...options, ...place, signal },
      logger: { info: log, warn },
      ...(flags.progress && { onProgress: log }),
      onOutcome: tellOutcome,
    });
    const reason = await worker.finished.finally(() => launcher?.close());
    if (process.channel) tellLauncher(reason);
    else log(reason ?? 'interrupted: left the run');
    process.exitCode = reason === undefined ? EXIT.interrupted : EXIT.done;
  });
}

/** Without an environment variable: `$GRADSOCK_WORKERS` is the number of workers of a run. */
function workersFlag(): Option {
  const processes = "worker processes, which end together; 0: one per GPU, or else one per core ('threads' cores each)";
  return new Option('--workers <k>', processes).argParser(upToOrNone(MOST_WORKERS)).default(1);
}

/** For launchers, which tell the progress of a run themselves: no user needs to type it. */
function progressFlag(): Option {
  return new Option('--no-progress', 'print no progress of this worker').hideHelp();
}

/** What the workers of a group join. The token goes by their environment. */
function joinArgumentsOf(place: JoinPlace): string[] {
  const where = 'url' in place ? [place.url].flat() : ['--join-file', place.joinFile];
  return place.token === false ? [...where, '--no-token'] : where;
}

/**
 * When to stop, besides the coordinator's message. A worker with an IPC channel was started by a launcher, which ends it:
 * by a message on the channel, or by the channel's end. It ignores Ctrl-C and the end of the terminal, which reach both.
 */
function workerSignal(log: (line: string) => void): AbortSignal {
  if (!process.channel) {
    return interruptSignal(() => log('interrupted: leaving the run; once more ends at once'), process.stderr);
  }
  const leaving = new AbortController();
  stopEndingOnSignals();
  for (const signal of ['SIGINT', 'SIGHUP']) process.on(signal, () => {});
  process.on('disconnect', () => process.exit(EXIT.failed));
  process.on('message', (message) => {
    if (message === LEAVE_MESSAGE) leaving.abort(new Interruption('the launcher ends this worker'));
  });
  // The channel alone must not keep the process alive when its work is over.
  process.channel.unref();
  return leaving.signal;
}
