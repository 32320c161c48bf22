/** How an engine is chosen from the table in `registry.ts`, made, and probed before it is used. */
import { ConfigError, describeError } from '../../protocol/errors.ts';
import { mayUseCuda, planCandidates } from './candidates.ts';
import type { Engine, EngineOptions } from './engine.ts';
import { GPU_HOST, placeOnGpu, showOnly } from './gpus.ts';
import type { GpuHost, GpuPlacement } from './gpus.ts';
import { describeOutOfMemory, isOutOfMemory, tellingOfMemory } from './out-of-memory.ts';
import { passOver } from './passed-over.ts';
import type { PassedOver } from './passed-over.ts';
import { probeEngine } from './probe.ts';
import type { TensorError } from './probe.ts';
import { AUTO_ORDER, ENGINES } from './registry.ts';
import type { Candidate, EngineEntry, EngineRegistry } from './registry.ts';

/** An engine that has passed the probe. */
export interface ProbedEngine {
  readonly engine: Engine;
  /** Its worst tensor in the probe; undefined for the one that judges. */
  readonly probe: TensorError | undefined;
  /** The NVIDIA GPU that it runs on, if it runs on one through CUDA. */
  readonly gpu: GpuPlacement | undefined;
}

export interface ChosenEngine extends ProbedEngine {
  /** What would have been preferred, and why it was passed over; in the order in which it was tried. */
  readonly passedOver: readonly PassedOver[];
}

/**
 * Makes the engine that `choice` names, or for `auto` the first of {@link AUTO_ORDER} that can be had and computes
 * rightly. A device in `options` holds for either, and may carry the number of a GPU (`cuda:1`, or just `1`); without a
 * number, workers of one machine take its GPUs in turn. The caller disposes of the engine.
 *
 * Throws `ConfigError` for an unknown name or GPU, and when the engine named, or every one tried, cannot be had.
 */
export async function createEngine(
  choice: string,
  options: EngineOptions,
  registry: EngineRegistry = { engines: ENGINES, autoOrder: AUTO_ORDER },
): Promise<ChosenEngine> {
  const { engines, gpuHost = GPU_HOST } = registry;
  const { candidates, gpuIndex, isNamed } = planCandidates(choice, options.device, registry);
  const mayTakeGpu = candidates.some(({ engine, device }) => mayUseCuda(engines[engine]!, device));
  const placement = mayTakeGpu ? await placeOnGpu(gpuIndex, `--device ${options.device ?? ''}`, gpuHost) : undefined;
  const context = { options, gpuHost, placement };
  if (choice !== 'auto' && candidates.length === 1) {
    return { ...(await createProbed(candidates[0]!, engines[choice]!, context)), passedOver: [] };
  }

  const passedOver: PassedOver[] = [];
  for (const candidate of candidates) {
    const entry = engines[candidate.engine]!;
    // Who names a device gets to hear what the engine itself has to say.
    const absence = isNamed ? undefined : await entry.absence?.(candidate.device!);
    if (absence !== undefined) {
      passedOver.push(passOver(candidate, absence, false));
      continue;
    }
    try {
      return { ...(await createProbed(candidate, entry, context)), passedOver };
    } catch (error) {
      passedOver.push(passOver(candidate, error, true));
    }
  }
  throw noEngine(choice, passedOver);
}

/**
 * Whether {@link createEngine} may succeed, as far as that is known without starting an engine: what is asked for exists
 * here. For the program that starts workers, before it starts them.
 *
 * Throws `ConfigError` as `createEngine` would.
 */
export async function checkEngine(
  choice: string,
  device: string | undefined,
  registry: EngineRegistry = { engines: ENGINES, autoOrder: AUTO_ORDER },
): Promise<void> {
  const { engines, gpuHost = GPU_HOST } = registry;
  const { candidates, gpuIndex } = planCandidates(choice, device, registry);
  if (gpuIndex !== undefined) await placeOnGpu(gpuIndex, `--device ${device ?? ''}`, gpuHost);
  const passedOver: PassedOver[] = [];
  for (const candidate of candidates) {
    try {
      await engines[candidate.engine]!.checkDevice?.(candidate.device);
      return;
    } catch (error) {
      if (choice !== 'auto' && candidates.length === 1) throw error;
      passedOver.push(passOver(candidate, error, true));
    }
  }
  throw noEngine(choice, passedOver);
}

function noEngine(choice: string, passedOver: readonly PassedOver[]): ConfigError {
  const reasons = passedOver.map(({ engine, device, message }) => `${engine} on ${device ?? 'default'}: ${message}`);
  return new ConfigError(`--engine ${choice}: no engine can be used here: ${reasons.join('; ')}`);
}

interface CreationContext {
  readonly options: EngineOptions;
  readonly gpuHost: GpuHost;
  readonly placement: GpuPlacement | undefined;
}

async function createProbed(
  { engine: name, device }: Candidate,
  entry: EngineEntry,
  { options, gpuHost, placement }: CreationContext,
): Promise<ProbedEngine> {
  let engine: Engine | undefined;
  try {
    if (placement && mayUseCuda(entry, device)) showOnly(placement, gpuHost);
    const made = await entry.create({ ...options, device });
    engine = made;
    const probe = entry.isProbed ? await probeEngine(made, options) : undefined;
    const isOnCuda = entry.cudaDevices?.some((cudaDevice) => made.device.startsWith(cudaDevice)) ?? false;
    return { engine: tellingOfMemory(made), probe, gpu: isOnCuda ? placement : undefined };
  } catch (error) {
    await engine?.dispose();
    if (isOutOfMemory(error)) {
      throw new ConfigError(describeOutOfMemory(name, device, options.maxBatch, error), { cause: error });
    }
    if (error instanceof ConfigError) throw error;
    // A library that does not load, or a device that fails in the probe, says so in its own words.
    throw new ConfigError(`--engine ${name} cannot be used here: ${describeError(error)}; choose another --engine`, {
      cause: error,
    });
  }
}
