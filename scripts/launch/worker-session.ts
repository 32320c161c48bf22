/** One life of the workers of a host: a connection, the script, the place to join by standard input, and how it ended. */
import { joinUrlOf } from '../../protocol/wire/join-url.ts';
import type { HostGroup } from './hosts.ts';
import { openSession } from './session.ts';
import type { Session } from './session.ts';
import { sshCommand } from './ssh-command.ts';
import type { TunnelEnd } from './ssh-command.ts';
import { startScript } from './start-script.ts';
import type { RemoteProgram } from './start-script.ts';
import { describeWorkerEnd, START_DEADLINE_S } from './worker-end.ts';
import type { EndFacts, WorkerEnd } from './worker-end.ts';

/** What the workers of a launch have in common. */
export interface WorkerSetting {
  /** Program and options. */
  readonly ssh: readonly string[];
  /** The run's port on this machine, where connections go through ssh. */
  readonly tunnel?: TunnelEnd | undefined;
  /** "ws://192.0.2.10:7878", without the token: each by which a host may reach the coordinator. */
  readonly urls: readonly [string, ...string[]];
  readonly token: string | undefined;
  /** For the program's `worker`, besides where to join and its name. */
  readonly flags: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly node: string;
  readonly version: string;
}

export interface WorkerLife {
  readonly session: Session;
  readonly ended: Promise<WorkerEnd & { readonly lifeMs: number }>;
}

const ALLOCATED = /^Allocated port (\d+) for remote forward/;
const NOT_ALLOWED = /remote port forwarding failed|forwarding.*(?:administratively )?prohibited/i;

/** Starts it. `onLine`: what it says, and ssh. */
export function startWorkerLife(
  group: HostGroup,
  program: RemoteProgram,
  setting: WorkerSetting,
  onLine: (line: string) => void,
): WorkerLife {
  const { destination, label, name } = group;
  const { ssh, tunnel, version } = setting;
  const startMs = performance.now();
  let told: EndFacts['told'];
  let startedMs: number | undefined;
  let remotePort: number | undefined;
  let ended: EndFacts['ended'];
  const end = (why: NonNullable<EndFacts['ended']>) => {
    ended ??= why;
    session.kill();
  };
  const joinIfReady = () => {
    if (startedMs === undefined || (tunnel && remotePort === undefined)) return;
    clearTimeout(deadline);
    const { urls, token } = setting;
    const [first, ...others] = remotePort === undefined ? urls : ([tunnelUrl(urls[0], remotePort)] as const);
    session.write(`${[joinUrlOf(first, token), ...others].join(' ')}\n`);
  };
  const script = startScript({
    program,
    node: setting.node,
    version,
    args: workerArguments(group, setting),
    environment: setting.environment,
  });
  const session = openSession(sshCommand({ ssh, destination, script, tunnel }), {
    onTold(word, rest) {
      told = { word, rest };
      if (word !== 'started') return;
      startedMs = performance.now();
      joinIfReady();
    },
    onLine(line) {
      const port = tunnel && ALLOCATED.exec(line)?.[1];
      if (port !== undefined) {
        remotePort = Number(port);
        joinIfReady();
      } else if (tunnel && startedMs === undefined && NOT_ALLOWED.test(line)) {
        end('no-tunnel');
      } else {
        onLine(line);
      }
    },
  });
  const deadline = setTimeout(
    () => end(startedMs === undefined ? 'too-late' : 'no-tunnel-port'),
    START_DEADLINE_S * 1000,
  );
  return {
    session,
    ended: session.ended.then((sessionEnd) => {
      clearTimeout(deadline);
      const hasStarted = startedMs !== undefined;
      const facts = { destination, label, name, told, hasStarted, ended, session: sessionEnd, version, ssh: ssh[0]! };
      return { ...describeWorkerEnd(facts), lifeMs: performance.now() - (startedMs ?? startMs) };
    }),
  };
}

/** The run's URL on a host whose port is forwarded to it. */
function tunnelUrl(url: string, port: number): string {
  return `${url.startsWith('wss:') ? 'wss' : 'ws'}://127.0.0.1:${port}`;
}

/** One process starts all workers of the group. */
function workerArguments({ name, numWorkers, device }: HostGroup, { flags }: WorkerSetting): readonly string[] {
  const names = numWorkers === 1 ? `${name}-1` : name;
  return [
    ...['worker', '--join-stdin', '--end-with-stdin', '--no-progress'],
    ...['--workers', String(numWorkers), '--name', names, ...flags],
    ...(device === undefined ? [] : ['--device', device]),
  ];
}
