/** `gradsock coordinator`: waits for workers from anywhere, then trains with them. */
import { Command } from 'commander';
import { carryOutRun } from '../../coordinator/main.ts';
import { isLoopback, parseListenAddress, startServer } from '../../coordinator/server.ts';
import { ConfigError, describeError } from '../../protocol/errors.ts';
import { writeFileAtomically } from '../../protocol/state/atomic-file.ts';
import { joinUrlOf } from '../../protocol/wire/join-url.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import {
  addRunFlags,
  allReduceFlag,
  flag,
  parseCount,
  parsePositive,
  sharedMemoryFlag,
  sharesFlag,
  wireFlag,
} from '../flags.ts';
import type { RunFlags } from '../flags.ts';
import { exitCodeOf } from '../process.ts';
import { withResume } from '../resume-flags.ts';
import { runOptionsOf } from '../run-options.ts';
import { addServerTlsFlags, readServerTls } from '../tls-files.ts';
import type { ServerTlsFlags } from '../tls-files.ts';
import { keepToken, runToken, tokenFileFlag } from '../token.ts';
import type { TokenFlags } from '../token.ts';

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
    .addOption(flag('--workers <n>', 'workers to wait for').argParser(parseCount).default(2))
    .addOption(flag('--join-file <path>', 'a file to write the join URL into, for launchers; for your eyes only'))
    .addOption(tokenFileFlag())
    .addOption(flag('--no-token', 'let in whoever can connect; on loopback only'))
    .addOption(flag('--join-timeout <seconds>', 'the longest wait for workers').argParser(parsePositive).default(600))
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
    if (tls) flags.allReduce = allReduceWithTls(flags.allReduce);
    const options = { ...runOptionsOf(flags, flags.workers, flags.joinTimeout), token };
    const { line } = options.reporter;
    const result = await carryOutRun({
      ...options,
      async summonWorkers({ membership, runDir }) {
        if (token !== undefined) await keepToken(runDir, token);
        const health = () => ({ status: 'running', workers: membership.members.length });
        const admit = (transport: Transport, isSameMachine: boolean) => membership.admit(transport, isSameMachine);
        const server = await startServer(address, health, admit, { tls, numWorkers: flags.workers });
        const joinUrl = joinUrlOf(server.joinUrl, token);
        try {
          if (joinFile !== undefined) await writeFileAtomically(joinFile, `${joinUrl}\n`, OWNER_ONLY);
        } catch (error) {
          await server.close();
          throw new ConfigError(`--join-file ${joinFile!}: cannot be written: ${describeError(error)}`);
        }
        if (!isLoopback(address) && !tls) line('warning: without --tls-cert, what is sent can be read on the way');
        line(`waiting for ${flags.workers} workers; start each of them with`);
        line(`  npx gradsock worker ${joinUrl}${tls ? ` --tls-fingerprint ${tls.fingerprint}` : ''}`);
        return { stop: () => server.close() };
      },
    });
    process.exitCode = exitCodeOf(result);
  });
  return command;
}

/** Links between the workers of a ring are not encrypted: where the run's are to be, it takes the star. */
function allReduceWithTls(choice: CoordinatorFlags['allReduce']): 'star' {
  if (choice !== 'ring') return 'star';
  throw new ConfigError('--all-reduce ring with --tls-cert: links between workers are not encrypted: use star');
}
