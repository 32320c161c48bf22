/** A run whose workers are started on other hosts over ssh. Its coordinator is this process. */
import { Command } from 'commander';
import { ConfigError } from '../../protocol/errors.ts';
import { countOf } from '../../protocol/counts.ts';
import { MEMORY_ENVIRONMENT } from '../../worker/machine/memory.ts';
import { addCoordinatorFlags } from '../flags/commands.ts';
import type { CoordinatorFlags } from '../flags/commands.ts';
import type { EngineFlags } from '../flags/run-flags.ts';
import { workforceOf } from '../flags/worker-counts.ts';
import { groupsOf } from '../launch/hosts.ts';
import type { Host, HostGroup } from '../launch/hosts.ts';
import { makeBundle } from '../launch/install/bundle.ts';
import { createInstaller } from '../launch/install/installer.ts';
import { startRemoteWorkers } from '../launch/remote-workers.ts';
import type { RemoteWorkers } from '../launch/remote-workers.ts';
import { splitWords } from '../launch/shell-words.ts';
import type { RemoteProgram } from '../launch/start-script.ts';
import { packageVersion } from '../process.ts';
import { parseListenAddress } from '../../coordinator/server/server.ts';
import { coordinate } from './coordinate.ts';
import type { RunEvent } from './events.ts';
import type { CoordinatorOptions } from './options.ts';
import { settleRun } from './run.ts';
import type { TrainedRun } from './trained-run.ts';
import { PROGRAM } from './workers.ts';

export interface LaunchOptions extends Omit<CoordinatorOptions, 'workers' | 'token'> {
  readonly hosts: readonly Host[];
  readonly token: string | undefined;
  /** Of the workers. */
  readonly engine: EngineFlags;
  /** Program and options, as a command line. */
  readonly ssh: string;
  readonly remoteCommand: string | undefined;
  readonly tunnel: boolean;
  readonly install: boolean;
}

/** A worker whose coordinator is not found within this time has been told an address that does not lead to it. */
const WAIT_SECONDS = 60;

/** Carries out the run to its end. Rejects with `ConfigError` for options that are wrong, before anything is started. */
export async function launch(options: LaunchOptions): Promise<TrainedRun> {
  const { hosts, engine, ssh, remoteCommand, tunnel, install, token, dashboard = false, ...others } = options;
  const groups = groupsOf(hosts);
  const workers = groups.reduce((sum, { numWorkers }) => sum + numWorkers, 0);
  const access = { ssh: sshWords(ssh), node: process.execPath, version: packageVersion() };
  const program = programOf(remoteCommand, install);
  const { listen = tunnel ? '127.0.0.1:0' : '0.0.0.0:0', logger } = others;
  let remote: RemoteWorkers | undefined;
  const onEvent = (event: RunEvent) => {
    if (event.kind === 'started') remote?.hasBegun();
    options.onEvent?.(event);
  };
  const run = settleRun<CoordinatorFlags>(addCoordinatorFlags(new Command('launch')), {
    ...{ ...others, dashboard, listen, workers, onEvent },
    // Workers that join through ssh look as if they were on this machine, whose memory they do not share.
    ...(tunnel && { sharedMemory: false }),
  });
  const { flags } = run;
  const { host } = parseListenAddress(listen);
  const bundle = install ? await makeBundle(engine.engine) : undefined;
  const log = (line: string) => (logger?.info ?? logger?.warn)?.(line);
  return coordinate({
    ...{ run, token, hasDashboard: dashboard },
    remote: {
      lastLinesOf: (name) => remote?.lastLinesOf(name) ?? [],
      ringObstacle: tunnel ? 'workers that join through ssh cannot reach each other' : undefined,
      start({ urls, port, token: runToken, fingerprint }, onFailure) {
        const joining = { urls, token: runToken, tunnel: tunnel ? { host, port } : undefined };
        if (logger?.info) startLines(groups, tunnel ? 'through ssh' : `at ${urls[0]}`).forEach(log);
        remote = startRemoteWorkers({
          ...{ groups, log, onFailure },
          setting: {
            ...{ ...access, ...joining, environment: MEMORY_ENVIRONMENT },
            flags: workerFlags(engine, { isQuiet: logger?.info === undefined, fingerprint }),
          },
          programOn: bundle ? createInstaller({ ...access, bundle, log }) : () => Promise.resolve({ program }),
          numNeeded: workforceOf(flags).numWorkers,
          stepTimeoutMs: flags.stepTimeout * 1000,
          patienceMs: flags.joinTimeout * 1000,
        });
        return remote;
      },
    },
  });
}

function sshWords(line: string): string[] {
  const words = splitWords(line, '--ssh');
  if (words.length > 0) return words;
  throw new ConfigError('--ssh: expected a program, such as ssh, got nothing');
}

function programOf(remoteCommand: string | undefined, install: boolean): RemoteProgram {
  if (remoteCommand === undefined) return { kind: 'found', path: PROGRAM };
  if (install) throw new ConfigError('--remote-command with --install: expected one way to start gradsock: give one');
  // eslint-disable-next-line no-control-regex
  if (remoteCommand.trim() === '' || /[\u0000-\u001f]/.test(remoteCommand)) {
    throw new ConfigError('--remote-command: expected one line, such as "npx gradsock", without control characters');
  }
  return { kind: 'command', command: remoteCommand };
}

function workerFlags(
  { engine, device, threads }: EngineFlags,
  { isQuiet, fingerprint }: { readonly isQuiet: boolean; readonly fingerprint: string | undefined },
): string[] {
  return [
    ...['--wait', String(WAIT_SECONDS), '--engine', engine, '--threads', String(threads)],
    ...(device === undefined ? [] : ['--device', device]),
    ...(isQuiet ? ['--quiet'] : []),
    ...(fingerprint === undefined ? [] : ['--tls-fingerprint', fingerprint]),
  ];
}

/** More hosts than this are counted, not named. */
const MOST_NAMED = 8;

/** "starting 3 workers on node1 (2), node2", and in a line of its own, where they join. */
function startLines(groups: readonly HostGroup[], where: string): string[] {
  const numWorkers = groups.reduce((sum, group) => sum + group.numWorkers, 0);
  const named = groups.map((group) => (group.numWorkers === 1 ? group.name : `${group.name} (${group.numWorkers})`));
  const on = groups.length > MOST_NAMED ? countOf(groups.length, 'host') : named.join(', ');
  return [`starting ${countOf(numWorkers, 'worker')} on ${on}`, `joining ${where}`];
}
