/** `gradsock worker URL`: joins a coordinator and computes gradients until the run is over. */
import { Command } from 'commander';
import type { Option } from 'commander';
import { printableLines } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import { runWorker } from '../../worker/main.ts';
import { askSecret } from '../run/ask-secret.ts';
import { secondsOrNone } from '../flags/values.ts';
import { inGroup } from '../flags/groups.ts';
import { addEngineFlags, addFlags, dataDirFlag, defaultWorkerName, flag } from '../flags/run-flags.ts';
import type { EngineFlags } from '../flags/run-flags.ts';
import { joinSourceOf } from '../run/join-source.ts';
import type { JoinFlags } from '../run/join-source.ts';
import { EXIT, interruptSignal } from '../process.ts';
import { readTrust, trustFlags } from '../run/tls-files.ts';
import type { TrustFlags } from '../run/tls-files.ts';
import { tokenFileFlag } from '../run/token.ts';

interface WorkerFlags extends EngineFlags, JoinFlags, TrustFlags {
  name: string;
  dataDir?: string;
  wait: number;
  reconnect: number;
  quiet: boolean;
}

const EXAMPLES = `
Examples:
  gradsock worker ws://192.168.1.10:7878
  gradsock worker --join-file /shared/join --engine onnx --threads 4`;

export function workerCommand(): Command {
  const command = new Command('worker')
    .argument('[url]', "the coordinator's URL, as it prints it: ws://HOST:PORT")
    .addHelpText('after', EXAMPLES);
  addFlags(command, [...inGroup('joining', joiningFlags()), ...inGroup('data', [dataDirFlag("Fashion-MNIST's")])]);
  addFlags(command, inGroup('files', [flag('--quiet', 'print only failures and warnings').default(false)]));
  addEngineFlags(command).action(async (joinUrl: string | undefined, flags: WorkerFlags) => {
    const warn = (line: string) => process.stderr.write(`${printableLines(line)}\n`);
    const log = flags.quiet ? () => {} : warn;
    const target = await joinSourceOf(joinUrl, flags, {
      stdin: process.stdin,
      isOnCommandLine: (name) => command.getOptionValueSource(name) === 'cli',
      ask: hasTerminal() ? (url) => askForToken(url, flags.wait) : undefined,
      warn,
    });
    // A mistake in these flags is told before anything is waited for.
    readTrust(flags, target.canChange ? 'wss:' : target.read().url);
    // A launcher's worker does not outlive the connection: the launcher starts another.
    const reconnectSeconds = process.channel ? 0 : flags.reconnect;
    const reason = await runWorker({
      ...flags,
      waitSeconds: flags.wait,
      reconnectSeconds,
      target,
      tlsOf: (url) => readTrust(flags, url),
      signal: workerSignal(warn),
      // Of a launcher's worker the coordinator tells.
      tell: process.channel ? undefined : log,
      log,
      warn,
    });
    // How a run ended, its launcher says itself.
    if (!process.channel) log(reason ?? 'interrupted: left the run');
    process.exitCode = reason === undefined ? EXIT.interrupted : EXIT.done;
  });
  return command;
}

function joiningFlags(): readonly Option[] {
  return [
    flag('--join-file <path>', 'file with the URL and the token, as `gradsock coordinator --join-file` writes it'),
    flag('--join-stdin', 'read the URL and the token from standard input: ws://HOST:PORT/#TOKEN').default(false),
    tokenFileFlag(),
    flag('--no-token', 'join a run that has no token; do not ask for one'),
    flag('--name <name>', "this worker's name").default(defaultWorkerName(), 'host and process id'),
    flag('--wait <seconds>', 'longest wait for a join file or a coordinator that is not there yet; 0: no wait')
      .argParser(secondsOrNone)
      .default(LIMITS.connectMs / 1000),
    flag('--reconnect <seconds>', 'longest wait for a coordinator that was lost after joining; 0: no wait')
      .argParser(secondsOrNone)
      .default(60),
    ...trustFlags(),
  ];
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
