/**
 * The engines that `--engine` can name, and how one is chosen. Nothing of an engine is loaded before it is wanted, so a
 * library that is missing or broken matters to those only who ask for it.
 *
 * To add an engine: its folder, an entry in `ENGINES`, its place in `AUTO_ORDER`, and a test that runs the contract
 * suite, `test/contracts/engine.contract.ts`, over it.
 */
import { ConfigError, describeError } from '../../protocol/errors.ts';
import type { Engine, EngineOptions } from './engine.ts';
import { probeEngine } from './probe.ts';

export interface EngineEntry {
  /** Makes the engine on `options.device` or its default device; rejects with a cure when that cannot be had. */
  readonly create: (options: EngineOptions) => Promise<Engine>;
  /** Whether it must pass the probe before use: all but the one that judges. */
  readonly isProbed: boolean;
}

/** One thing for `auto` to try. */
export interface EngineCandidate {
  readonly engine: string;
  readonly device: string;
}

export const ENGINES = {
  native: {
    create: async (options) => (await import('./native/native-engine.ts')).createNativeEngine(options),
    isProbed: true,
  },
  onnx: {
    create: async (options) => (await import('./onnx/onnx-engine.ts')).createOnnxEngine(options),
    isProbed: true,
  },
  tfjs: {
    create: async (options) => (await import('./tfjs/tfjs-engine.ts')).createTfjsEngine(options),
    isProbed: true,
  },
  reference: {
    create: async (options) => (await import('./reference.ts')).createReferenceEngine(options),
    isProbed: false,
  },
} satisfies Record<string, EngineEntry>;

export type EngineName = keyof typeof ENGINES;

export const ENGINE_NAMES = Object.keys(ENGINES) as EngineName[];

/** What `auto` tries, fastest first. The reference is too slow to be taken unasked. */
export const AUTO_ORDER = [
  { engine: 'native', device: 'cpu' },
  { engine: 'onnx', device: 'cpu' },
] as const satisfies readonly (EngineCandidate & { engine: EngineName })[];

/** The table that engines are chosen from; tests bring their own. */
export interface EngineRegistry {
  readonly engines: Readonly<Record<string, EngineEntry>>;
  readonly autoOrder: readonly EngineCandidate[];
}

export interface ChosenEngine {
  readonly engine: Engine;
  /** Why each engine that `auto` would have liked better was passed over: one sentence each, for people. */
  readonly passedOver: readonly string[];
}

/**
 * Makes the engine that `choice` names, or for `auto` the first of {@link AUTO_ORDER} that can be had and computes
 * rightly; a device in `options` holds for either. Each has passed the probe. The caller disposes of it.
 *
 * Throws `ConfigError` for an unknown name, and when the engine named, or every one tried, cannot be had.
 */
export async function createEngine(
  choice: string,
  options: EngineOptions,
  { engines, autoOrder }: EngineRegistry = { engines: ENGINES, autoOrder: AUTO_ORDER },
): Promise<ChosenEngine> {
  if (choice !== 'auto') {
    const entry = Object.hasOwn(engines, choice) ? engines[choice] : undefined;
    if (!entry) {
      throw new ConfigError(`--engine ${choice}: no such engine; use auto, ${Object.keys(engines).join(', ')}`);
    }
    return { engine: await createProbed(choice, entry, options), passedOver: [] };
  }

  const passedOver: string[] = [];
  for (const candidate of candidatesFor(autoOrder, options.device)) {
    const { engine: name, device } = candidate;
    try {
      return { engine: await createProbed(name, engines[name]!, { ...options, device }), passedOver };
    } catch (error) {
      // The flag that such an error names was not given here.
      const reason = describeError(error).replace(/^--engine [\w-]+:? /, '');
      passedOver.push(`${name} on ${device}: ${reason}`);
    }
  }
  throw new ConfigError(`--engine auto: no engine can be used here: ${passedOver.join('; ')}`);
}

/** With a device asked for: every engine, once, on that device; those that do not know it will say so. */
function candidatesFor(autoOrder: readonly EngineCandidate[], device: string | undefined): readonly EngineCandidate[] {
  if (device === undefined) return autoOrder;
  return [...new Set(autoOrder.map(({ engine }) => engine))].map((engine) => ({ engine, device }));
}

async function createProbed(name: string, entry: EngineEntry, options: EngineOptions): Promise<Engine> {
  let engine: Engine | undefined;
  try {
    engine = await entry.create(options);
    if (entry.isProbed) await probeEngine(engine, options);
    return engine;
  } catch (error) {
    await engine?.dispose();
    if (error instanceof ConfigError) throw error;
    // A library that does not load, or a device that fails in the probe, says so in its own words.
    throw new ConfigError(`--engine ${name} cannot be used here: ${describeError(error)}; choose another --engine`, {
      cause: error,
    });
  }
}
