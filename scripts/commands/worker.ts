/** `gradsock worker URL`: joins a coordinator and computes gradients until the run is over. */
import { Command } from 'commander';
import { runWorker } from '../../worker/main.ts';
import { secondsOrNone } from '../flag-values.ts';
import { addEngineFlags, dataDirFlag, defaultWorkerName, flag } from '../flags.ts';
import type { EngineFlags } from '../flags.ts';
import { EXIT, interruptSignal } from '../process.ts';
import { addTrustFlags, readTrust } from '../tls-files.ts';
import type { TrustFlags } from '../tls-files.ts';
import { joinTargetOf, tokenFileFlag } from '../token.ts';
import type { JoinFlags } from '../token.ts';

interface WorkerFlags extends EngineFlags, JoinFlags, TrustFlags {
  name: string;
  dataDir?: string;
  reconnect: number;
  quiet: boolean;
}

export function workerCommand(): Command {
  const command = new Command('worker')
    .description('join a run and compute gradients for it')
    .argument('[url]', 'what the coordinator printed: ws://HOST:PORT/#TOKEN')
    .addOption(flag('--join-file <path>', 'a file with that URL, as `gradsock coordinator --join-file` writes it'))
    .addOption(tokenFileFlag())
    .addOption(flag('--name <name>', 'what to call this worker').default(defaultWorkerName(), 'host and process id'))
    .addOption(dataDirFlag())
    .addOption(
      flag('--reconnect <seconds>', 'how long to wait for a coordinator that was lost; 0: not at all')
        .argParser(secondsOrNone)
        .default(60),
    )
    .addOption(flag('--quiet', 'print nothing but what is out of the ordinary').default(false));
  addEngineFlags(addTrustFlags(command)).action(async (joinUrl: string | undefined, flags: WorkerFlags) => {
    const { url, token } = joinTargetOf(joinUrl, flags);
    const tls = readTrust(flags, url);
    const warn = (line: string) => process.stderr.write(`${line}\n`);
    const log = flags.quiet ? () => {} : warn;
    // A launcher's worker does not outlive the connection: the launcher starts another.
    const reconnectSeconds = process.channel ? 0 : flags.reconnect;
    const reason = await runWorker({
      ...flags,
      reconnectSeconds,
      url,
      token,
      tls,
      signal: workerSignal(warn),
      log,
      warn,
    });
    // How a run ended, its launcher says itself.
    if (!process.channel) log(reason ?? 'interrupted: left the run');
    process.exitCode = reason === undefined ? EXIT.interrupted : EXIT.done;
  });
  return command;
}

/**
 * When to stop besides the coordinator's word. A worker with an IPC channel was started by a launcher: that one ends it,
 * also after a Ctrl-C that reaches both, and if it is gone, so is the worker.
 */
function workerSignal(log: (line: string) => void): AbortSignal {
  if (!process.channel) return interruptSignal(() => log('interrupted: leaving the run; once more ends at once'));
  process.on('SIGINT', () => {});
  process.on('disconnect', () => process.exit(EXIT.failed));
  // The channel alone must not keep the process alive when its work is over.
  process.channel.unref();
  return new AbortController().signal;
}
