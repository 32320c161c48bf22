/**
 * The NVIDIA GPUs of this machine, and which of them a worker computes on.
 *
 * A worker uses one GPU. It is chosen through CUDA's own variable, CUDA_VISIBLE_DEVICES, before a library that reads it
 * is loaded: every CUDA library of the process then sees that GPU alone, as its number 0.
 */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { ConfigError } from '../../protocol/errors.ts';

/** What is asked of the machine; tests bring their own. */
export interface GpuHost {
  readonly environment: NodeJS.ProcessEnv;
  /** The driver's folder of GPUs, an entry each; undefined where there is none. */
  readonly listDriver: () => readonly string[] | undefined;
  /** What `nvidia-smi -L` prints, a line a GPU; undefined where it is missing, fails or takes too long. */
  readonly listBySmi: () => Promise<string | undefined>;
}

export interface GpuPlacement {
  /** From 0, among the GPUs that this process may use. */
  readonly index: number;
  readonly numGpus: number;
  /** What CUDA_VISIBLE_DEVICES calls it: its number on the machine, or "GPU-..." or "MIG-...". */
  readonly cudaName: string;
}

/** Launchers' names for a worker's number among those of its machine: torchrun's, Slurm's, Open MPI's. */
const LOCAL_RANK_VARIABLES = ['LOCAL_RANK', 'SLURM_LOCALID', 'OMPI_COMM_WORLD_LOCAL_RANK'] as const;

/** A healthy driver answers in a second or two; a broken one may never. */
const SMI_DEADLINE_MS = 10_000;

let smiAnswer: Promise<string | undefined> | undefined;

export const GPU_HOST: GpuHost = {
  environment: process.env,
  listDriver() {
    try {
      return readdirSync('/proc/driver/nvidia/gpus');
    } catch {
      return undefined;
    }
  },
  listBySmi: () => (smiAnswer ??= askSmi()),
};

/**
 * The GPUs that this process may use, by what CUDA_VISIBLE_DEVICES calls them: its entries where it is set, else all
 * that the driver or nvidia-smi knows.
 */
export async function visibleGpus(host: GpuHost = GPU_HOST): Promise<readonly string[]> {
  const visible = host.environment['CUDA_VISIBLE_DEVICES'];
  if (visible !== undefined) return leadingGpuNames(visible);
  const found = host.listDriver() ?? (await host.listBySmi())?.split('\n').filter((line) => line.startsWith('GPU '));
  return (found ?? []).map((_, index) => String(index));
}

/**
 * The GPU for this worker: the one of `index`, else by turns, number (local rank) mod (number of GPUs). Undefined where
 * no GPU is seen and none was asked for.
 *
 * Throws `ConfigError` when there is no GPU of that index, or when a launcher's variable holds no rank. `flag`: what
 * asked for the index, for the message.
 */
export async function placeOnGpu(
  index: number | undefined,
  flag: string,
  host: GpuHost = GPU_HOST,
): Promise<GpuPlacement | undefined> {
  const gpus = await visibleGpus(host);
  const numGpus = gpus.length;
  if (index !== undefined && index >= numGpus) {
    throw new ConfigError(`${flag}: there is no GPU ${index}: ${describeCount(numGpus, host)}`);
  }
  if (numGpus === 0) return undefined;
  const chosen = index ?? localRank(host.environment) % numGpus;
  return { index: chosen, numGpus, cudaName: gpus[chosen]! };
}

/** Hides all other GPUs from CUDA libraries that this process loads from now on. */
export function showOnly({ cudaName }: GpuPlacement, { environment }: GpuHost = GPU_HOST): void {
  environment['CUDA_VISIBLE_DEVICES'] = cudaName;
}

/**
 * This worker's number among those of its machine, as its launcher says, or 0.
 *
 * Throws `ConfigError` naming the variable when its value is none.
 */
export function localRank(environment: NodeJS.ProcessEnv): number {
  const variable = LOCAL_RANK_VARIABLES.find((name) => (environment[name] ?? '') !== '');
  if (variable === undefined) return 0;
  const value = environment[variable]!;
  if (!/^\d{1,9}$/.test(value)) {
    throw new ConfigError(
      `${variable}=${value}: expected this worker's number on its machine, a whole number from 0: set it so, or unset it`,
    );
  }
  return Number(value);
}

function askSmi(): Promise<string | undefined> {
  return new Promise((resolve) => {
    const limits = { timeout: SMI_DEADLINE_MS, killSignal: 'SIGKILL' } as const;
    execFile('nvidia-smi', ['-L'], limits, (error, stdout) => resolve(error ? undefined : stdout));
  });
}

/** As CUDA reads it: numbers or "GPU-..." and "MIG-..." names, up to the first entry that is neither. */
function leadingGpuNames(visible: string): string[] {
  const entries = visible.split(',').map((entry) => entry.trim());
  const end = entries.findIndex((entry) => !/^(\d+|(GPU|MIG)-.+)$/.test(entry));
  return end === -1 ? entries : entries.slice(0, end);
}

function describeCount(numGpus: number, { environment }: GpuHost): string {
  const visible = environment['CUDA_VISIBLE_DEVICES'];
  const where = visible === undefined ? 'this machine has' : `CUDA_VISIBLE_DEVICES=${visible} leaves`;
  if (numGpus === 0) return `${where} no NVIDIA GPU; choose another --device`;
  return `${where} ${numGpus === 1 ? 'one, GPU 0' : `${numGpus}, GPU 0 to ${numGpus - 1}`}; choose one of them`;
}
