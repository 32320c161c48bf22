/** A real Slurm of one machine: munge, a controller and one node, with folders and ports of a test's own. */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const TOOLS = ['/usr/sbin/munged', '/usr/sbin/slurmctld', '/usr/sbin/slurmd', '/usr/bin/srun'];
/** The daemons are up within a second or two; on a busy machine later. */
const START_DEADLINE_MS = 60_000;
const JOB_DEADLINE_MS = 100_000;
const POLL_MS = 100;

export interface JobState {
  /** "COMPLETED", "RUNNING", "PENDING"; undefined of a job that is not known any more. */
  readonly state: string | undefined;
  /** "0:0": the exit code, and the signal that ended it. */
  readonly exitCode: string | undefined;
  readonly restarts: number;
}

export interface Slurm {
  /** A folder for jobs' files. */
  readonly folder: string;
  /** Runs `sbatch --parsable ARGS` in the folder, and returns the job's number. */
  submit(args: readonly string[], env?: Readonly<Record<string, string>>): string;
  /** Runs one of Slurm's commands to its end; throws when it fails. Returns what it wrote. */
  run(command: string, ...args: string[]): string;
  state(job: string): JobState;
  /** Resolves when the job's state passes; rejects after a while, with what the job has written. */
  until(job: string, what: string, passes: (state: JobState) => boolean): Promise<JobState>;
  /** For commands that are to find this Slurm. */
  readonly env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/** Why no Slurm can be started here; undefined where one can. Says so on standard error, for tests that are skipped. */
export function slurmMissing(): string | undefined {
  const missing = TOOLS.find((path) => !existsSync(path));
  const why =
    missing !== undefined ? `${missing} is missing` : process.getuid?.() === 0 ? undefined : 'only root may start it';
  if (why !== undefined) process.stderr.write(`skipped: tests with Slurm: ${why}\n`);
  return why;
}

/** Starts a Slurm whose only node has 8 processors, whatever the machine has. */
export async function startSlurm(): Promise<Slurm> {
  const folder = mkdtempSync(join(tmpdir(), 'gradsock-slurm-'));
  const [controllerPort, nodePort] = await freePorts(2);
  const config = join(folder, 'slurm.conf');
  const socket = join(folder, 'munge.socket');
  for (const name of ['state', 'spool', 'jobs']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'munge.key'), randomBytes(128), { mode: 0o600 });
  writeFileSync(config, configOf({ folder, socket, controllerPort: controllerPort!, nodePort: nodePort! }));
  const daemons = [
    start(folder, '/usr/sbin/munged', [
      ...[
        '--foreground',
        '--force',
        '--num-threads=2',
        `--socket=${socket}`,
        `--key-file=${join(folder, 'munge.key')}`,
      ],
      ...[`--pid-file=${join(folder, 'munge.pid')}`, `--seed-file=${join(folder, 'munge.seed')}`],
    ]),
  ];
  const env = { SLURM_CONF: config };
  const jobs = join(folder, 'jobs');
  const run = (command: string, ...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(command, args, {
      cwd: jobs,
      encoding: 'utf8',
      env: { ...process.env, ...env },
    });
    if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${status}: ${stdout}${stderr}`);
    return stdout;
  };
  const stop = async () => {
    for (const daemon of daemons.reverse()) await end(daemon);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await eventually('munged', () => existsSync(socket));
    daemons.push(start(folder, '/usr/sbin/slurmctld', ['-D', '-f', config]));
    daemons.push(start(folder, '/usr/sbin/slurmd', ['-D', '-f', config]));
    await eventually('an idle node', () => {
      try {
        return run('sinfo', '--noheader', '--format=%T').trim() === 'idle';
      } catch {
        return false;
      }
    });
  } catch (error) {
    const logs = ['munged', 'slurmctld', 'slurmd'].map((name) => textOf(join(folder, `${name}.log`)).slice(-2000));
    await stop();
    throw new Error(`${String(error)}\n${logs.join('\n')}`, { cause: error });
  }
  const state = (job: string): JobState => {
    let text: string;
    try {
      text = run('scontrol', '--oneliner', 'show', 'job', job);
    } catch {
      return { state: undefined, exitCode: undefined, restarts: 0 };
    }
    const field = (name: string) => new RegExp(`\\b${name}=(\\S+)`).exec(text)?.[1];
    return { state: field('JobState'), exitCode: field('ExitCode'), restarts: Number(field('Restarts')) };
  };
  return {
    folder: jobs,
    env,
    run,
    state,
    submit(args, jobEnv = {}) {
      const { status, stdout, stderr } = spawnSync('sbatch', ['--parsable', ...args], {
        cwd: jobs,
        encoding: 'utf8',
        env: { ...process.env, ...env, ...jobEnv },
      });
      if (status !== 0) throw new Error(`sbatch: ${stderr}`);
      return stdout.trim();
    },
    async until(job, what, passes) {
      try {
        await eventually(what, () => passes(state(job)), JOB_DEADLINE_MS);
      } catch (error) {
        const output = spawnSync('sh', ['-c', `tail -n 60 *-${job}.out`], { cwd: jobs, encoding: 'utf8' }).stdout;
        throw new Error(`${String(error)}: ${JSON.stringify(state(job))}\n${output}`, { cause: error });
      }
      return state(job);
    },
    stop,
  };
}

interface Places {
  readonly folder: string;
  readonly socket: string;
  readonly controllerPort: number;
  readonly nodePort: number;
}

/**
 * No control groups: the machine may have none. A job that is requeued waits until its credentials have expired, so they
 * expire soon.
 */
function configOf({ folder, socket, controllerPort, nodePort }: Places): string {
  const name = hostname();
  return `
ClusterName=test
SlurmctldHost=${name}(127.0.0.1)
SlurmctldPort=${controllerPort}
SlurmdPort=${nodePort}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=${socket},cred_expire=5
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
ReturnToService=2
KillWait=10
JobRequeue=1
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/spool
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/slurmd.pid
NodeName=${name} NodeAddr=127.0.0.1 CPUs=8 RealMemory=1000 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
`;
}

function start(folder: string, program: string, args: readonly string[]): ChildProcess {
  const log = join(folder, `${program.split('/').at(-1)!}.log`);
  return spawn('/bin/sh', ['-c', 'exec "$@" > "$0" 2>&1', log, program, ...args], { stdio: 'ignore' });
}

async function end(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return;
  const gone = new Promise((resolve) => daemon.once('exit', resolve));
  daemon.kill('SIGTERM');
  const timer = setTimeout(() => daemon.kill('SIGKILL'), 5000);
  await gone;
  clearTimeout(timer);
}

async function eventually(what: string, isSo: () => boolean, deadlineMs = START_DEADLINE_MS): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!isSo()) {
    if (performance.now() > endMs) throw new Error(`waited ${deadlineMs / 1000} s for ${what}`);
    await delay(POLL_MS);
  }
}

/** That nobody listened on a moment ago, all different. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  for (const server of servers) {
    server.close();
    await once(server, 'close');
  }
  return ports;
}

const textOf = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '');
