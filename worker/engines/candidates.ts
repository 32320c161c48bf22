/**
 * What `--engine` and `--device` mean together: which engines are tried on which devices, in which order.
 *
 * A device may carry the number of an NVIDIA GPU, `cuda:1`, or be nothing but one, `1`. The number is taken off here for
 * devices that run on CUDA, where `gpus.ts` sees to it; an engine that counts its own adapters gets its device whole.
 */
import { ConfigError } from '../../protocol/errors.ts';
import type { Candidate, EngineEntry, EngineRegistry } from './registry.ts';

/** `--device`, taken apart. */
interface DeviceRequest {
  /** As the user wrote it. */
  readonly flag: string;
  /** Undefined for a bare number. */
  readonly name: string | undefined;
  readonly index: number | undefined;
}

export interface CandidateList {
  /** To be tried one after the other; at least one. */
  readonly candidates: readonly Candidate[];
  /** The number of the NVIDIA GPU that the user asked for. */
  readonly gpuIndex: number | undefined;
  /** Whether the user named the device; otherwise what is plainly not there need not be tried. */
  readonly isNamed: boolean;
}

/**
 * The candidates for `--engine choice --device device`. With `auto` and a device: the pairs of the order whose device it
 * is, then the other engines of the order that know it.
 *
 * Throws `ConfigError` for an unknown engine, a device that nobody knows, and a number where there is none to give.
 */
export function planCandidates(choice: string, device: string | undefined, registry: EngineRegistry): CandidateList {
  if (choice !== 'auto' && !Object.hasOwn(registry.engines, choice)) {
    throw new ConfigError(`--engine ${choice}: no such engine; use auto, ${Object.keys(registry.engines).join(', ')}`);
  }
  if (device === undefined) {
    const own = [{ engine: choice, device }];
    return { candidates: choice === 'auto' ? registry.autoOrder : own, gpuIndex: undefined, isNamed: false };
  }
  const request = parseDevice(device);
  if (request.name === undefined) {
    return { candidates: cudaPairs(choice, device, registry), gpuIndex: request.index, isNamed: false };
  }
  const candidates = choice === 'auto' ? pairsOf(request.name, registry) : [{ engine: choice, device: request.name }];
  if (candidates.length === 0) {
    throw new ConfigError(`${request.flag}: no engine has it; there are ${knownDevices(registry).join(', ')}`);
  }
  return withIndex(candidates, request, registry);
}

/** Whether an engine made so may run on CUDA: on its default device too, if it has such a device. */
export function mayUseCuda({ cudaDevices = [] }: EngineEntry, device: string | undefined): boolean {
  return device === undefined ? cudaDevices.length > 0 : cudaDevices.includes(device);
}

function parseDevice(device: string): DeviceRequest {
  const flag = `--device ${device}`;
  if (/^\d+$/.test(device)) return { flag, name: undefined, index: Number(device) };
  const [name, index] = device.split(/:(.*)/s) as [string, string?];
  if (index !== undefined && !/^\d+$/.test(index)) {
    throw new ConfigError(`${flag}: expected the number of a GPU after the colon, from 0: ${name}:0`);
  }
  return { flag, name, index: index === undefined ? undefined : Number(index) };
}

/** For a bare number: every device on CUDA that the choice has. */
function cudaPairs(choice: string, device: string, { engines, autoOrder }: EngineRegistry): readonly Candidate[] {
  const cudaOf = (engine: string) => engines[engine]!.cudaDevices ?? [];
  const candidates =
    choice === 'auto'
      ? autoOrder.filter((pair) => cudaOf(pair.engine).includes(pair.device))
      : cudaOf(choice).map((name) => ({ engine: choice, device: name }));
  if (candidates.length > 0) return candidates;
  const able = Object.keys(engines).filter((engine) => cudaOf(engine).length > 0);
  throw new ConfigError(
    `--device ${device}: the number of an NVIDIA GPU, which --engine ${choice} does not use; ` +
      `choose --engine auto, ${able.join(', ')}`,
  );
}

/** For `auto` on a device: no engine twice. The judge is not among them, for the order leaves it out. */
function pairsOf(device: string, { engines, autoOrder }: EngineRegistry): readonly Candidate[] {
  const preferred = autoOrder.filter((pair) => pair.device === device).map(({ engine }) => engine);
  const others = autoOrder.map(({ engine }) => engine).filter((engine) => knows(engines[engine]!, device));
  return [...new Set([...preferred, ...others])].map((engine) => ({ engine, device }));
}

function withIndex(
  candidates: readonly Candidate[],
  request: DeviceRequest,
  { engines }: EngineRegistry,
): CandidateList {
  const { flag, name, index } = request;
  const isNamed = true;
  if (index === undefined) return { candidates, gpuIndex: undefined, isNamed };
  const entries = candidates.map(({ engine }) => engines[engine]!);
  if (entries.some((entry) => mayUseCuda(entry, name))) return { candidates, gpuIndex: index, isNamed };
  // Known, and not to be numbered. What is unknown, the engine itself refuses.
  if (entries.every((entry) => knows(entry, name!) && !(entry.numberedDevices ?? []).includes(name!))) {
    throw new ConfigError(`${flag}: ${name!} has no number, only GPUs have; use --device ${name!}`);
  }
  const numbered = candidates.map(({ engine }) => ({ engine, device: `${name!}:${index}` }));
  return { candidates: numbered, gpuIndex: undefined, isNamed };
}

function knows({ devices, variants = [] }: EngineEntry, device: string): boolean {
  return devices.includes(device) || variants.includes(device);
}

function knownDevices({ engines, autoOrder }: EngineRegistry): readonly string[] {
  const entries = autoOrder.map(({ engine }) => engines[engine]!);
  return [...new Set(entries.flatMap(({ devices, variants = [] }) => [...devices, ...variants]))];
}
