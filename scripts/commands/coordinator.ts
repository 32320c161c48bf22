/** `gradsock coordinator`: waits for workers from anywhere, then trains with them. */
import { Command } from 'commander';
import { carryOutRun } from '../../coordinator/main.ts';
import { parseListenAddress, startServer } from '../../coordinator/server.ts';
import { ConfigError, describeError } from '../../protocol/errors.ts';
import { writeFileAtomically } from '../../protocol/state/atomic-file.ts';
import { addRunFlags, allReduceFlag, flag, parseCount, parsePositive, sharedMemoryFlag, wireFlag } from '../flags.ts';
import type { RunFlags } from '../flags.ts';
import { exitCodeOf } from '../process.ts';
import { runOptionsOf } from '../run-options.ts';

interface CoordinatorFlags extends RunFlags {
  listen: string;
  workers: number;
  joinFile?: string;
  joinTimeout: number;
}

export function coordinatorCommand(): Command {
  const command = new Command('coordinator')
    .description('wait for workers on this or other machines, then train with them')
    .addOption(flag('--listen <host:port>', 'where workers join; 0.0.0.0 for all addresses').default('127.0.0.1:7878'))
    .addOption(flag('--workers <n>', 'workers to wait for').argParser(parseCount).default(2))
    .addOption(flag('--join-file <path>', 'a file to write the join URL into, for launchers'))
    .addOption(flag('--join-timeout <seconds>', 'the longest wait for workers').argParser(parsePositive).default(600))
    .addOption(wireFlag())
    .addOption(allReduceFlag())
    .addOption(sharedMemoryFlag());
  addRunFlags(command).action(async (flags: CoordinatorFlags) => {
    const { joinFile } = flags;
    const address = parseListenAddress(flags.listen);
    const options = runOptionsOf(flags, flags.workers, flags.joinTimeout);
    const { line } = options.reporter;
    const result = await carryOutRun({
      ...options,
      async summonWorkers({ membership }) {
        const health = () => ({ status: 'running', workers: membership.members.length });
        const server = await startServer(address, health, (transport, isSameMachine) => {
          void membership.admit(transport, isSameMachine);
        });
        try {
          if (joinFile !== undefined) await writeFileAtomically(joinFile, `${server.joinUrl}\n`);
        } catch (error) {
          await server.close();
          throw new ConfigError(`--join-file ${joinFile!}: cannot be written: ${describeError(error)}`);
        }
        if (!server.isLoopback) line('warning: whoever can reach this port can join the run');
        line(`waiting for ${flags.workers} workers; start each of them with`);
        line(`  npx gradsock worker ${server.joinUrl}`);
        return { stop: () => server.close() };
      },
    });
    process.exitCode = exitCodeOf(result);
  });
  return command;
}
