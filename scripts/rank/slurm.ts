/** What Slurm tells a task of its step: its number, and on which node task 0 is. */
import { ConfigError } from '../../protocol/errors.ts';
import type { FamilyPart } from './part.ts';
import type { Variables } from './variables.ts';

/** Ports of steps begin here: below the ports that Linux gives to outgoing connections. */
const FIRST_PORT = 20_000;
const NUM_JOBS = 1000;
const NUM_STEPS = 10;

/**
 * The part of a task that `srun` has started. Throws `ConfigError` in the shell of a batch script, which has a number as well,
 * but is no task.
 */
export function partInSlurm(variables: Variables): FamilyPart {
  const step = variables.number('SLURM_STEP_ID');
  if (step === undefined) {
    throw new ConfigError(
      'rank: SLURM_PROCID is set, and SLURM_STEP_ID is not: this is the shell of a batch script, and no task: write `srun` ' +
        'before gradsock rank',
    );
  }
  const rank = variables.required('SLURM_PROCID');
  const size = variables.number('SLURM_STEP_NUM_TASKS', 1) ?? variables.required('SLURM_NTASKS', 1);
  const localRank = variables.number('SLURM_LOCALID') ?? 0;
  const numNodes = variables.number('SLURM_STEP_NUM_NODES', 1) ?? variables.number('SLURM_NNODES', 1);
  const job = variables.number('SLURM_JOB_ID');
  return {
    ...{ rank, size, localRank },
    isOneHost: numNodes === 1,
    host: hostOfTask0(variables),
    // Steps of one node at the same time have different ports.
    ...(job !== undefined && { port: FIRST_PORT + (job % NUM_JOBS) * NUM_STEPS + (step % NUM_STEPS) }),
  };
}

/** The first node of the step, or of its job: task 0 is there, unless tasks are distributed in an arbitrary order. */
export function hostOfTask0(variables: Variables): string | undefined {
  const nodes = variables.text('SLURM_STEP_NODELIST') ?? variables.text('SLURM_JOB_NODELIST');
  // Where a step was started is not always where its task 0 is: `srun` in an allocation may run on a login node.
  return nodes === undefined ? variables.text('SLURM_LAUNCH_NODE_IPADDR') : firstHostOf(nodes);
}

/**
 * The first host of a list in Slurm's form: "gpu[03-05,9],login" begins with gpu03, as `scontrol show hostnames` would say.
 *
 * Throws `ConfigError` for a list that has none.
 */
export function firstHostOf(list: string): string {
  const [first = ''] = list.trim().split(/,(?![^[]*\])/);
  const host = first.replaceAll(/\[([^\]]*)\]/g, (_, ranges: string) => /^\d+/.exec(ranges)?.[0] ?? '?');
  if (/^[\w.-]+$/.test(host)) return host;
  throw new ConfigError(
    `rank: the list of nodes "${list}" of Slurm: expected names such as node[01-04]: name the machine of rank 0 by ` +
      '--coordinator-host',
  );
}
