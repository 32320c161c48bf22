/** `gradsock coordinator`: waits for workers from anywhere, then trains with them. */
import { Command } from 'commander';
import { sayFarewell } from '../../coordinator/farewell.ts';
import type { FarewellOptions } from '../../coordinator/farewell.ts';
import { carryOutRun } from '../../coordinator/main.ts';
import { isLoopback, parseListenAddress, startServer } from '../../coordinator/server.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { writeFileAtomically } from '../../protocol/state/atomic-file.ts';
import { describeSystemError } from '../../protocol/system-errors.ts';
import { joinUrlOf } from '../../protocol/wire/join-url.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { seconds, upTo } from '../flag-values.ts';
import { addRunFlags, allReduceFlag, flag, sharedMemoryFlag, sharesFlag, wireFlag } from '../flags.ts';
import type { RunFlags } from '../flags.ts';
import { exitCodeOf } from '../process.ts';
import { withResume } from '../resume-flags.ts';
import { runOptionsOf } from '../run-options.ts';
import { addServerTlsFlags, readServerTls } from '../tls-files.ts';
import type { ServerTlsFlags } from '../tls-files.ts';
import { keepToken, runToken, tokenFileFlag } from '../token.ts';
import type { TokenFlags } from '../token.ts';

/** Each takes a connection, and a process may have some ten thousands at most. */
const MOST_WORKERS = 10_000;

/** Permissions of a file that holds a token. */
const OWNER_ONLY = 0o600;

interface CoordinatorFlags extends RunFlags, TokenFlags, ServerTlsFlags {
  listen: string;
  workers: number;
  joinFile?: string;
  /** False with --no-token. */
  token?: boolean;
  joinTimeout: number;
}

export function coordinatorCommand(): Command {
  const command = new Command('coordinator')
    .description('wait for workers on this or other machines, then train with them')
    .addOption(flag('--listen <host:port>', 'where workers join; 0.0.0.0 for all addresses').default('127.0.0.1:7878'))
    .addOption(flag('--workers <n>', 'workers to wait for').argParser(upTo(MOST_WORKERS)).default(2))
    .addOption(flag('--join-file <path>', 'a file to write the join URL into, for launchers; for your eyes only'))
    .addOption(tokenFileFlag())
    .addOption(flag('--no-token', 'let in whoever can connect; on loopback only'))
    .addOption(flag('--join-timeout <seconds>', 'the longest wait for workers').argParser(seconds).default(600))
    .addOption(wireFlag())
    .addOption(allReduceFlag())
    .addOption(sharesFlag())
    .addOption(sharedMemoryFlag());
  addRunFlags(addServerTlsFlags(command)).action(async (given: CoordinatorFlags) => {
    const flags = withResume(given, command);
    const { joinFile } = flags;
    const address = parseListenAddress(flags.listen);
    if (flags.token === false && !isLoopback(address)) {
      throw new ConfigError(
        `--no-token with --listen ${flags.listen}: expected a loopback address: leave out one of them`,
      );
    }
    const token = flags.token === false ? undefined : runToken(flags, flags.resumed?.path);
    const tls = readServerTls(flags);
    const ringObstacle = tls && 'this run is encrypted, which links between the workers of a ring are not';
    const options = { ...runOptionsOf(flags, flags.workers, flags.joinTimeout), token, ringObstacle };
    const { line } = options.reporter;
    const listen = (admit: (transport: Transport, isSameMachine: boolean) => Promise<void>, health: () => object) =>
      startServer(address, health, admit, { tls, numWorkers: flags.workers });
    let hasListened = false;
    const result = await carryOutRun({
      ...options,
      async summonWorkers({ membership, runDir }) {
        hasListened = true;
        if (token !== undefined) await keepToken(runDir, token);
        const health = () => ({ status: 'running', workers: membership.members.length });
        const server = await listen((transport, isSameMachine) => membership.admit(transport, isSameMachine), health);
        const joinUrl = joinUrlOf(server.joinUrl, token);
        try {
          if (joinFile !== undefined) await writeFileAtomically(joinFile, `${joinUrl}\n`, OWNER_ONLY);
        } catch (error) {
          await server.close();
          throw new ConfigError(describeSystemError(`--join-file ${joinFile!}`, 'written', error), { cause: error });
        }
        if (!isLoopback(address) && !tls) line('warning: without --tls-cert, what is sent can be read on the way');
        line(`waiting for ${flags.workers} workers; start each of them with`);
        line(`  npx gradsock worker ${joinUrl}${tls ? ` --tls-fingerprint ${tls.fingerprint}` : ''}`);
        return { stop: () => server.close() };
      },
    });
    process.exitCode = exitCodeOf(result);
    const wasOver = flags.resumed && !flags.resumed.completed && result.status === 'completed' && !hasListened;
    // A port that chance chose is not the one where workers wait.
    if (!wasOver || address.port === 0) return;
    await tellWaitingWorkers({
      token,
      numWorkers: flags.workers,
      signal: options.signal,
      listen: (admit) => listen(admit, () => ({ status: 'completed', workers: 0 })),
      line,
      warn: options.warn,
    });
  });
  return command;
}

/** Of a run that was resumed after its last step: what it is has been recorded, and does not change if this fails. */
async function tellWaitingWorkers({
  line,
  ...farewell
}: Omit<FarewellOptions, 'reason'> & { readonly line: (text: string) => void }): Promise<void> {
  line('the run was over already: for a few seconds, workers that wait for it are told so');
  try {
    const numTold = await sayFarewell({ ...farewell, reason: 'the run is completed' });
    line(`${numTold} of ${farewell.numWorkers} workers were told`);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    farewell.warn(`workers that wait were not told: ${error.message}`);
  }
}
