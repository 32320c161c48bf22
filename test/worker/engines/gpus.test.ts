import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../protocol/errors.ts';
import { localRank, placeOnGpu, showOnly, visibleGpus, type GpuHost } from '../../../worker/engines/gpus.ts';

interface Machine {
  readonly environment?: NodeJS.ProcessEnv;
  /** Entries in the driver's folder. */
  readonly driver?: readonly string[];
  /** What nvidia-smi prints. */
  readonly smi?: string;
}

function hostOf({ environment = {}, driver, smi }: Machine): GpuHost {
  return { environment, listDriver: () => driver, listBySmi: () => Promise.resolve(smi) };
}

const SMI = `GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5b)
  MIG 1g.5gb Device 0: (UUID: MIG-c6f4)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-9e6f)
`;

describe('the GPUs of a machine', () => {
  it.each<[string, Machine, string[]]>([
    ['none', {}, []],
    ['those of the driver', { driver: ['0000:01:00.0', '0000:02:00.0'] }, ['0', '1']],
    ['none, where the driver has none, whatever nvidia-smi says', { driver: [], smi: SMI }, []],
    ['those that nvidia-smi lists, and not their parts', { smi: SMI }, ['0', '1']],
    ['none, where nvidia-smi has no driver', { smi: 'NVIDIA-SMI has failed\n' }, []],
    [
      'those left by CUDA_VISIBLE_DEVICES',
      { environment: { CUDA_VISIBLE_DEVICES: '3, 1' }, driver: ['x'] },
      ['3', '1'],
    ],
    ['none left by it', { environment: { CUDA_VISIBLE_DEVICES: '' }, driver: ['x'] }, []],
    ['none left by -1', { environment: { CUDA_VISIBLE_DEVICES: '-1' }, driver: ['x'] }, []],
    ['none left by what is no name', { environment: { CUDA_VISIBLE_DEVICES: 'NoDevFiles' }, driver: ['x'] }, []],
    ['those before an invalid entry', { environment: { CUDA_VISIBLE_DEVICES: '2,-1,3' } }, ['2']],
    ['those named', { environment: { CUDA_VISIBLE_DEVICES: 'GPU-5d5b,MIG-c6f4' } }, ['GPU-5d5b', 'MIG-c6f4']],
  ])('are %s', async (_, machine, expected) => {
    expect(await visibleGpus(hostOf(machine))).toEqual(expected);
  });

  it('are counted on this machine without an error', async () => {
    expect(Array.isArray(await visibleGpus())).toBe(true);
  });
});

describe('a local rank', () => {
  it.each<[NodeJS.ProcessEnv, number]>([
    [{}, 0],
    [{ LOCAL_RANK: '3' }, 3],
    [{ SLURM_LOCALID: '2' }, 2],
    [{ OMPI_COMM_WORLD_LOCAL_RANK: '1' }, 1],
    [{ LOCAL_RANK: '0', SLURM_LOCALID: '1', OMPI_COMM_WORLD_LOCAL_RANK: '2' }, 0],
    [{ SLURM_LOCALID: '1', OMPI_COMM_WORLD_LOCAL_RANK: '2' }, 1],
    [{ LOCAL_RANK: '', SLURM_LOCALID: '1' }, 1],
  ])('of %j is %i', (environment, rank) => {
    expect(localRank(environment)).toBe(rank);
  });

  it.each(['-1', '1.5', 'two', ' 1', '0x1', '1e3', '99999999999'])(
    '"%s" is an error that names the variable',
    (value) => {
      const read = () => localRank({ SLURM_LOCALID: value });
      expect(read).toThrow(ConfigError);
      expect(read).toThrow(
        `SLURM_LOCALID=${value}: expected this worker's number on its machine, a whole number from 0`,
      );
    },
  );
});

describe('the GPU of a worker', () => {
  it('is that of its rank, from the first again when there are more workers', async () => {
    const driver = ['a', 'b', 'c'];
    const taken = [];
    for (let rank = 0; rank < 7; rank++) {
      taken.push(
        (await placeOnGpu(undefined, '', hostOf({ driver, environment: { LOCAL_RANK: String(rank) } })))!.index,
      );
    }
    expect(taken).toEqual([0, 1, 2, 0, 1, 2, 0]);
  });

  it('is that of the index asked for, whatever the rank', async () => {
    const host = hostOf({ environment: { CUDA_VISIBLE_DEVICES: '4,6', LOCAL_RANK: 'none' } });
    expect(await placeOnGpu(1, '--device 1', host)).toEqual({ index: 1, numGpus: 2, cudaName: '6' });
  });

  it('is none where there is none', async () => {
    expect(await placeOnGpu(undefined, '', hostOf({ environment: { LOCAL_RANK: 'none' } }))).toBeUndefined();
  });

  it.each<[Machine, string]>([
    [{}, '--device cuda:2: there is no GPU 2: this machine has no NVIDIA GPU; choose another --device'],
    [{ driver: ['a'] }, '--device cuda:2: there is no GPU 2: this machine has one, GPU 0; choose one of them'],
    [{ driver: ['a', 'b'] }, '--device cuda:2: there is no GPU 2: this machine has 2, GPU 0 to 1; choose one of them'],
    [{ environment: { CUDA_VISIBLE_DEVICES: '7' } }, 'there is no GPU 2: CUDA_VISIBLE_DEVICES=7 leaves one, GPU 0'],
  ])('that is asked for and not there is an error: %j', async (machine, message) => {
    const refusal = placeOnGpu(2, '--device cuda:2', hostOf(machine));
    await expect(refusal).rejects.toThrow(ConfigError);
    await expect(refusal).rejects.toThrow(message);
  });

  it('of a worker without a rank where its launcher says nonsense is an error', async () => {
    const refusal = placeOnGpu(undefined, '', hostOf({ driver: ['a'], environment: { LOCAL_RANK: 'none' } }));
    await expect(refusal).rejects.toThrow('LOCAL_RANK=none: expected');
  });

  it('is all that CUDA is shown', () => {
    const environment: NodeJS.ProcessEnv = {};
    showOnly({ index: 1, numGpus: 2, cudaName: 'GPU-9e6f' }, hostOf({ environment }));
    expect(environment).toEqual({ CUDA_VISIBLE_DEVICES: 'GPU-9e6f' });
  });
});
