/**
 * Families: the variables by which each launcher tells a process its part in a job.
 *
 * They are tried in the order of this file. A launcher may run inside of another: `torchrun` and `mpirun` in a step of Slurm,
 * all of them in a pod of Kubernetes. The inner one has started the process, so it comes first.
 */
import { ConfigError } from '../../protocol/errors.ts';
import type { FamilyPart } from './part.ts';
import { hostOfTask0, partInSlurm } from './slurm.ts';
import { variablesOf } from './variables.ts';
import type { Environment, Variables } from './variables.ts';

interface Family {
  readonly name: string;
  /** One of these says that this launcher has started the process. */
  readonly signs: readonly string[];
  /** What to do where a variable is missing or is wrong. */
  readonly cure: string;
  readonly read: (variables: Variables) => FamilyPart;
}

const HIGHEST_PORT = 65_535;

const FAMILIES: readonly Family[] = [
  {
    name: 'torchrun',
    signs: ['RANK', 'WORLD_SIZE'],
    cure: 'set RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as torchrun does, or unset all of them',
    read: (variables) => ({
      rank: variables.required('RANK'),
      size: variables.required('WORLD_SIZE', 1),
      localRank: variables.number('LOCAL_RANK') ?? 0,
      isOneHost: variables.number('LOCAL_WORLD_SIZE', 1) === variables.number('WORLD_SIZE', 1),
      ...masterOf(variables),
    }),
  },
  {
    name: 'Kubeflow',
    signs: ['PET_NODE_RANK', 'PET_NNODES'],
    cure: 'set PET_NODE_RANK, PET_NNODES and PET_MASTER_ADDR to single values, as Kubeflow does for torch, or unset them',
    read(variables) {
      // "auto", "cpu" and "gpu" leave the number to torchrun: this program then has one worker a node.
      const perNode = variables.text('PET_NPROC_PER_NODE') ?? '';
      return {
        rank: variables.required('PET_NODE_RANK'),
        size: variables.required('PET_NNODES', 1),
        localRank: 0,
        workersPerRank: /^[1-9]\d{0,3}$/.test(perNode) ? Number(perNode) : 1,
        isOneHost: variables.number('PET_NNODES', 1) === 1,
        host: variables.text('PET_MASTER_ADDR'),
        port: portOf(variables, 'PET_MASTER_PORT'),
      };
    },
  },
  {
    name: 'Open MPI',
    signs: ['OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE'],
    cure: 'start this with mpirun',
    read: (variables) => ({
      rank: variables.required('OMPI_COMM_WORLD_RANK'),
      size: variables.required('OMPI_COMM_WORLD_SIZE', 1),
      localRank: variables.number('OMPI_COMM_WORLD_LOCAL_RANK') ?? 0,
      isOneHost: variables.number('OMPI_COMM_WORLD_LOCAL_SIZE', 1) === variables.number('OMPI_COMM_WORLD_SIZE', 1),
      ...masterOf(variables),
    }),
  },
  {
    name: 'PMI',
    signs: ['PMI_RANK', 'PMI_SIZE'],
    cure: 'start this with mpiexec or srun',
    read: (variables) => ({
      rank: variables.required('PMI_RANK'),
      size: variables.required('PMI_SIZE', 1),
      localRank: variables.number('MPI_LOCALRANKID') ?? variables.number('SLURM_LOCALID') ?? 0,
      isOneHost: variables.number('MPI_LOCALNRANKS', 1) === variables.number('PMI_SIZE', 1),
      ...masterOf(variables),
    }),
  },
  {
    name: 'Slurm',
    signs: ['SLURM_PROCID'],
    cure: 'start this with srun',
    read(variables) {
      const part = partInSlurm(variables);
      const { host = part.host, port = part.port } = masterOf(variables);
      return { ...part, host, port };
    },
  },
  {
    name: 'Kubernetes',
    signs: ['JOB_COMPLETION_INDEX'],
    cure: 'start this in a Job with completionMode Indexed',
    read: (variables) => ({
      rank: variables.required('JOB_COMPLETION_INDEX'),
      size: undefined,
      localRank: 0,
      isOneHost: false,
      ...masterOf(variables),
    }),
  },
];

/** The part of this process, by which launcher, and the words for people. */
export interface FoundPart extends FamilyPart {
  readonly family: string;
  /** What was read: "RANK=3 WORLD_SIZE=8". */
  readonly read: string;
  /** Other launchers' variables that say something else, and are not followed: "SLURM_PROCID=0 SLURM_NTASKS=1 of Slurm". */
  readonly ignored: readonly string[];
}

/**
 * The part that the first launcher gives of which a variable is set.
 *
 * Throws `ConfigError` where there is none, and where one of its variables is missing or wrong.
 */
export function findPart(environment: Environment): FoundPart {
  const present = FAMILIES.filter(({ signs }) => signs.some((name) => (environment[name]?.trim() ?? '') !== ''));
  const [family, ...others] = present;
  if (!family) throw nothingFound();
  const variables = variablesOf(environment, family.name, family.cure);
  const part = family.read(variables);
  if (part.size !== undefined && part.rank >= part.size) {
    throw new ConfigError(
      `rank: ${variables.read} of ${family.name}: expected a rank below ${part.size}: ${family.cure}`,
    );
  }
  const ignored = others.flatMap((other) => contradictionOf(other, part, environment));
  return { ...part, family: family.name, read: variables.read, ignored };
}

/** What another launcher says, where that is another part; nothing where it is no part at all. */
function contradictionOf({ name, cure, read }: Family, taken: FamilyPart, environment: Environment): string[] {
  const variables = variablesOf(environment, name, cure);
  try {
    const { rank, size } = read(variables);
    const isSame = rank === taken.rank && (size === undefined || taken.size === undefined || size === taken.size);
    return isSame ? [] : [`${variables.read} of ${name}`];
  } catch (error) {
    if (error instanceof ConfigError) return [];
    throw error;
  }
}

/** Where rank 0 is, by PyTorch's variables, which scripts set for any launcher; else by Slurm's list of nodes. */
function masterOf(variables: Variables): Pick<FamilyPart, 'host' | 'port'> {
  const host =
    variables.text('MASTER_ADDR') ?? (variables.has('SLURM_JOB_NODELIST') ? hostOfTask0(variables) : undefined);
  const port = portOf(variables, 'MASTER_PORT');
  // There its agent on the first machine listens on that port itself.
  const isTaken = variables.text('TORCHELASTIC_USE_AGENT_STORE')?.toLowerCase() === 'true';
  if (port === undefined || !isTaken) return { host, port };
  return { host, port: port === HIGHEST_PORT ? port - 1 : port + 1 };
}

function portOf(variables: Variables, name: string): number | undefined {
  const port = variables.number(name, 1);
  if (port === undefined || port <= HIGHEST_PORT) return port;
  throw new ConfigError(`rank: ${name}=${port}: expected a port, at most ${HIGHEST_PORT}`);
}

function nothingFound(): ConfigError {
  return new ConfigError(
    'rank: no launcher has started this process: expected RANK and WORLD_SIZE (torchrun), PET_NODE_RANK (Kubeflow), ' +
      'OMPI_COMM_WORLD_RANK (mpirun), PMI_RANK (mpiexec), SLURM_PROCID (srun) or JOB_COMPLETION_INDEX (Kubernetes): start it ' +
      'by one of these, or use gradsock train on one machine',
  );
}
