/** `gradsock launch`: a coordinator here, and workers on other hosts, started over ssh. */
import { Command } from 'commander';
import { ConfigError } from '../../protocol/errors.ts';
import { addLaunchFlags } from '../flags/commands.ts';
import type { LaunchFlags } from '../flags/commands.ts';
import { optionsGiven } from '../flags/given.ts';
import { readHostfile } from '../launch/hostfile.ts';
import { parseHosts } from '../launch/hosts.ts';
import type { Host } from '../launch/hosts.ts';
import { launch } from '../library/launch.ts';
import { exitCodeOf, ownCommandLine } from '../process.ts';
import { onTerminal, TERMINAL_FLAGS } from '../run/on-terminal.ts';
import type { TerminalFlag } from '../run/on-terminal.ts';
import { givenToken } from '../run/token.ts';

const EXAMPLES = `
Examples:
  gradsock launch --hosts node1,node2:2 --model conv --epochs 5
  gradsock launch --hostfile hosts --tunnel --install`;

/** Flags that a coordinator does not have. */
const OWN = ['hosts', 'hostfile', 'ssh', 'remoteCommand', 'install', 'tunnel', 'engine', 'device', 'threads'] as const;

export function launchCommand(): Command {
  const command = new Command('launch').addHelpText('after', EXAMPLES);
  return addLaunchFlags(command).action(async (flags: LaunchFlags) => {
    const given = optionsGiven<LaunchFlags, TerminalFlag | 'tokenFile' | (typeof OWN)[number]>(
      command,
      ...[...TERMINAL_FLAGS, ...OWN],
      'tokenFile',
    );
    const { runDir = true, dashboard = true, ...options } = given;
    const { ssh, remoteCommand, install, tunnel, engine, device, threads } = flags;
    const hosts = hostsOf(flags, (name) => command.getOptionValueSource(name) === 'cli');
    const token = givenToken(flags);
    const { callbacks } = onTerminal(flags);
    const { result } = await launch({
      ...{ ...options, ...callbacks, runDir, dashboard, token, hosts, ssh, remoteCommand, install, tunnel },
      engine: { engine, threads, ...(device !== undefined && { device }) },
      command: ownCommandLine(),
    });
    process.exitCode = exitCodeOf(result);
  });
}

/** Those of the command line come before those of the environment. Throws `ConfigError`. */
function hostsOf({ hosts, hostfile }: LaunchFlags, isGiven: (name: 'hosts' | 'hostfile') => boolean): Host[] {
  if (hosts !== undefined && hostfile !== undefined && isGiven('hosts') === isGiven('hostfile')) {
    throw new ConfigError('--hosts with --hostfile: expected one of them, got both: leave out one');
  }
  if (hosts !== undefined && (hostfile === undefined || isGiven('hosts'))) return parseHosts(hosts, '--hosts');
  if (hostfile !== undefined) return readHostfile(hostfile);
  throw new ConfigError('launch: expected hosts, got none: give --hosts node1,node2:4 or --hostfile FILE');
}
