/** `gradsock worker URL`: joins a coordinator and computes gradients until the run is over. */
import { Command } from 'commander';
import { printableLines } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import { runWorker } from '../../worker/main.ts';
import { askSecret } from '../run/ask-secret.ts';
import { secondsOrNone } from '../flags/values.ts';
import { addEngineFlags, dataDirFlag, defaultWorkerName, flag } from '../flags/run-flags.ts';
import type { EngineFlags } from '../flags/run-flags.ts';
import { joinSourceOf } from '../run/join-source.ts';
import type { JoinFlags } from '../run/join-source.ts';
import { EXIT, interruptSignal } from '../process.ts';
import { addTrustFlags, readTrust } from '../run/tls-files.ts';
import type { TrustFlags } from '../run/tls-files.ts';
import { tokenFileFlag } from '../run/token.ts';

interface WorkerFlags extends EngineFlags, JoinFlags, TrustFlags {
  name: string;
  dataDir?: string;
  wait: number;
  reconnect: number;
  quiet: boolean;
}

export function workerCommand(): Command {
  const command = new Command('worker')
    .description('join a run and compute gradients for it; on a terminal it asks for the token, unless it has one')
    .argument('[url]', 'what the coordinator printed: ws://HOST:PORT')
    .addOption(
      flag('--join-file <path>', 'a file with the URL and token, as `gradsock coordinator --join-file` writes it'),
    )
    .addOption(flag('--join-stdin', 'read the first line of standard input: ws://HOST:PORT/#TOKEN').default(false))
    .addOption(tokenFileFlag())
    .addOption(flag('--no-token', 'join a run without a token, and do not ask for one'))
    .addOption(flag('--name <name>', 'what to call this worker').default(defaultWorkerName(), 'host and process id'))
    .addOption(dataDirFlag())
    .addOption(
      flag('--wait <seconds>', 'the longest wait for a join file and a coordinator that are not there yet; 0: no wait')
        .argParser(secondsOrNone)
        .default(LIMITS.connectMs / 1000),
    )
    .addOption(
      flag('--reconnect <seconds>', 'how long to wait for a coordinator that was lost after joining; 0: not at all')
        .argParser(secondsOrNone)
        .default(60),
    )
    .addOption(flag('--quiet', 'print nothing but what is out of the ordinary').default(false));
  addEngineFlags(addTrustFlags(command)).action(async (joinUrl: string | undefined, flags: WorkerFlags) => {
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
