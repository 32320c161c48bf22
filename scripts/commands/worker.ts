/** `gradsock worker URL`: joins a coordinator and computes gradients until the run is over. */
import { Command } from 'commander';
import { printableLines } from '../../protocol/errors.ts';
import { addWorkerFlags } from '../flags/commands.ts';
import type { WorkerFlags } from '../flags/commands.ts';
import { optionsGiven } from '../flags/given.ts';
import { startWorker } from '../library/worker.ts';
import { EXIT, interruptSignal } from '../process.ts';
import { askSecret } from '../run/ask-secret.ts';
import { joinSourceOf } from '../run/join-source.ts';

const EXAMPLES = `
Examples:
  gradsock worker ws://192.168.1.10:7878
  gradsock worker --join-file /shared/join --engine onnx --threads 4`;

/** What the command sees to itself: where to join, and the token. */
const OWN = ['quiet', 'joinFile', 'joinStdin', 'token', 'tokenFile'] as const;

export function workerCommand(): Command {
  const command = new Command('worker')
    .argument('[url]', "the coordinator's URL, as it prints it: ws://HOST:PORT")
    .addHelpText('after', EXAMPLES);
  addWorkerFlags(command).action(async (joinUrl: string | undefined, flags: WorkerFlags) => {
    const warn = (line: string) => process.stderr.write(`${printableLines(line)}\n`);
    const log = flags.quiet ? () => {} : warn;
    const place = await joinSourceOf(joinUrl, flags, {
      stdin: process.stdin,
      isOnCommandLine: (name) => command.getOptionValueSource(name) === 'cli',
      ask: hasTerminal() ? (url) => askForToken(url, flags.wait) : undefined,
      warn,
    });
    const options = optionsGiven<WorkerFlags, (typeof OWN)[number]>(command, ...OWN);
    const worker = startWorker({
      ...{ ...options, ...place },
      logger: { info: log, warn },
      // A launcher's worker does not outlive the connection: the launcher starts another. Of it the coordinator tells.
      ...(process.channel ? { reconnect: 0 } : { onProgress: log }),
      signal: workerSignal(warn),
    });
    const reason = await worker.finished;
    // How a run ended, its launcher says itself.
    if (!process.channel) log(reason ?? 'interrupted: left the run');
    process.exitCode = reason === undefined ? EXIT.interrupted : EXIT.done;
  });
  return command;
}

/** Whether somebody can be asked. A launcher's worker asks nobody. */
function hasTerminal(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY && !process.channel;
}

function askForToken(url: string, waitSeconds: number): Promise<string> {
  const question = `token of the run at ${url} (Enter if it has none): `;
  return askSecret(question, { input: process.stdin, output: process.stderr, timeoutMs: waitSeconds * 1000 });
}

/**
 * When to stop besides the coordinator's word. A worker with an IPC channel was started by a launcher: that one ends it,
 * also after a Ctrl-C or the end of the terminal, which reach both, and if it is gone, so is the worker.
 */
function workerSignal(log: (line: string) => void): AbortSignal {
  if (!process.channel) {
    return interruptSignal(() => log('interrupted: leaving the run; once more ends at once'), process.stderr);
  }
  for (const signal of ['SIGINT', 'SIGHUP']) process.on(signal, () => {});
  process.on('disconnect', () => process.exit(EXIT.failed));
  // The channel alone must not keep the process alive when its work is over.
  process.channel.unref();
  return new AbortController().signal;
}
