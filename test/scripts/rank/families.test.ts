import { describe, expect, test } from 'vitest';
import { findPart } from '../../../scripts/rank/families.ts';
import { firstHostOf } from '../../../scripts/rank/slurm.ts';

const TORCHRUN = {
  RANK: '3',
  WORLD_SIZE: '8',
  LOCAL_RANK: '1',
  LOCAL_WORLD_SIZE: '2',
  MASTER_ADDR: 'node-0',
  MASTER_PORT: '29500',
};
const KUBEFLOW = {
  ...{ PET_NODE_RANK: '1', PET_NNODES: '2', PET_NPROC_PER_NODE: 'auto' },
  ...{ PET_MASTER_ADDR: 'job-node-0-0.job', PET_MASTER_PORT: '29400', JOB_COMPLETION_INDEX: '1' },
};
const SLURM = {
  ...{ SLURM_PROCID: '5', SLURM_NTASKS: '6', SLURM_LOCALID: '1', SLURM_STEP_ID: '2', SLURM_JOB_ID: '40123' },
  ...{ SLURM_STEP_NUM_NODES: '3', SLURM_STEP_NODELIST: 'gpu[03-05]', SLURM_JOB_NODELIST: 'gpu[01-05]' },
  SLURM_LAUNCH_NODE_IPADDR: '10.0.0.9',
};
const OPEN_MPI = {
  ...{ OMPI_COMM_WORLD_RANK: '2', OMPI_COMM_WORLD_SIZE: '4' },
  ...{ OMPI_COMM_WORLD_LOCAL_RANK: '2', OMPI_COMM_WORLD_LOCAL_SIZE: '4' },
};
const BATCH_SHELL = { SLURM_PROCID: '0', SLURM_NTASKS: '4', SLURM_JOB_NODELIST: 'a1,a2' };

describe('the part of a process', () => {
  test.each([
    ['torchrun', TORCHRUN, { rank: 3, size: 8, localRank: 1, host: 'node-0', port: 29500, isOneHost: false }],
    ['Kubeflow', KUBEFLOW, { rank: 1, size: 2, workersPerRank: 1, host: 'job-node-0-0.job', port: 29400 }],
    ['Slurm', SLURM, { rank: 5, size: 6, localRank: 1, host: 'gpu03', port: 21232, isOneHost: false }],
    ['Open MPI', OPEN_MPI, { rank: 2, size: 4, localRank: 2, host: undefined, isOneHost: true }],
    ['PMI', { PMI_RANK: '0', PMI_SIZE: '2', MPI_LOCALNRANKS: '1' }, { rank: 0, size: 2, isOneHost: false }],
    ['Kubernetes', { JOB_COMPLETION_INDEX: '4' }, { rank: 4, size: undefined, host: undefined }],
  ])('is read from the variables of %s', (family, environment, part) => {
    expect(findPart(environment)).toMatchObject({ family, ...part, ignored: [] });
  });

  test('has the words that were read', () => {
    expect(findPart(OPEN_MPI).read).toBe(
      'OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_RANK=2 OMPI_COMM_WORLD_LOCAL_SIZE=4',
    );
  });

  test("has the port after torchrun's where its agent listens on that", () => {
    const agent = { TORCHELASTIC_USE_AGENT_STORE: 'True' };
    expect(findPart({ ...TORCHRUN, ...agent }).port).toBe(29501);
    expect(findPart({ ...TORCHRUN, ...agent, MASTER_PORT: '65535' }).port).toBe(65534);
    expect(findPart({ ...TORCHRUN, TORCHELASTIC_USE_AGENT_STORE: 'False' }).port).toBe(29500);
  });

  test('has several workers where Kubeflow counts processes of a node', () => {
    expect(findPart({ ...KUBEFLOW, PET_NPROC_PER_NODE: '4' }).workersPerRank).toBe(4);
  });

  test('takes MASTER_ADDR and MASTER_PORT of a script for any launcher, and the nodes of Slurm for mpirun', () => {
    const master = { MASTER_ADDR: 'login', MASTER_PORT: '4000' };
    expect(findPart({ ...SLURM, ...master })).toMatchObject({ family: 'Slurm', host: 'login', port: 4000 });
    expect(findPart({ ...BATCH_SHELL, ...OPEN_MPI, OMPI_COMM_WORLD_LOCAL_SIZE: '2' })).toMatchObject({
      ...{ family: 'Open MPI', host: 'a1', isOneHost: false },
      ignored: [],
    });
  });
});

describe('of several launchers', () => {
  test('the inner one is followed, and what the outer one says otherwise is told', () => {
    const { family, rank, ignored } = findPart({ ...TORCHRUN, ...SLURM, ...OPEN_MPI });
    expect([family, rank]).toEqual(['torchrun', 3]);
    expect(ignored).toEqual([
      expect.stringMatching(/^OMPI_COMM_WORLD_RANK=2 .* of Open MPI$/),
      expect.stringMatching(/^SLURM_STEP_ID=2 .* of Slurm$/),
    ]);
  });

  test('nothing is told where they agree', () => {
    expect(findPart({ ...SLURM, PMI_RANK: '5', PMI_SIZE: '6' })).toMatchObject({ family: 'PMI', ignored: [] });
  });
});

describe('variables that are no whole part', () => {
  test.each([
    [{ RANK: '0' }, 'rank: WORLD_SIZE of torchrun is not set: set RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT'],
    [{ WORLD_SIZE: '2' }, 'rank: RANK of torchrun is not set'],
    [{ PET_NNODES: '2' }, 'rank: PET_NODE_RANK of Kubeflow is not set'],
    [{ PET_NNODES: '1:4', PET_NODE_RANK: '0' }, 'rank: PET_NNODES=1:4 of Kubeflow: expected a whole number from 1'],
    [{ OMPI_COMM_WORLD_SIZE: '2' }, 'rank: OMPI_COMM_WORLD_RANK of Open MPI is not set: start this with mpirun'],
    [{ PMI_RANK: '1' }, 'rank: PMI_SIZE of PMI is not set: start this with mpiexec or srun'],
    [{ SLURM_PROCID: '1', SLURM_STEP_ID: '0' }, 'rank: SLURM_NTASKS of Slurm is not set: start this with srun'],
    [BATCH_SHELL, 'this is the shell of a batch script, and no task: write `srun` before gradsock rank'],
    [{ JOB_COMPLETION_INDEX: 'x' }, 'rank: JOB_COMPLETION_INDEX=x of Kubernetes: expected a whole number from 0'],
    [{ RANK: '8', WORLD_SIZE: '8' }, 'rank: RANK=8 WORLD_SIZE=8 of torchrun: expected a rank below 8'],
    [{ ...TORCHRUN, MASTER_PORT: '70000' }, 'rank: MASTER_PORT=70000: expected a port, at most 65535'],
    [{ RANK: ' ' }, 'rank: no launcher has started this process'],
  ])('%j are an error that names the cure', (environment, message) => {
    expect(() => findPart(environment)).toThrow(message);
  });
});

describe('the first host of a list of nodes', () => {
  test.each([
    ['gpu[03-05,9],login', 'gpu03'],
    ['login,gpu[03-05]', 'login'],
    ['rack[2-3]node[001,007]', 'rack2node001'],
    ['vm', 'vm'],
    ['a-b.example.org', 'a-b.example.org'],
  ])('of %s is %s', (list, host) => {
    expect(firstHostOf(list)).toBe(host);
  });

  test.each(['', '(null)', 'node[]'])('%j is refused', (list) => {
    expect(() => firstHostOf(list)).toThrow('name the machine of rank 0 by --coordinator-host');
  });
});
