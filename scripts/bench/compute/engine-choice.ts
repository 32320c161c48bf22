/** Which engines are measured: those asked for, else all that are here. */
import { ConfigError } from '../../../protocol/errors.ts';
import { ENGINE_NAMES, ENGINES } from '../../../worker/engines/registry.ts';
import type { EngineEntry, EngineName } from '../../../worker/engines/registry.ts';

export interface EngineChoice {
  readonly engine: string;
  /** Default: the engine's own. */
  readonly device?: string | undefined;
  /** Asked for by name: that it is missing is an error, not a line in the report. */
  readonly isRequired: boolean;
}

/**
 * `native,onnx`, or with devices `native:avx2,onnx:cpu`. Without names: every engine on every device, but the
 * judge.
 *
 * Throws `ConfigError` for an engine that the registry does not have.
 */
export function chooseEngines(names: readonly string[] | undefined): EngineChoice[] {
  if (names === undefined) {
    const judged = ENGINE_NAMES.filter((engine) => ENGINES[engine].isProbed);
    return judged.flatMap((engine) => ENGINES[engine].devices.map((device) => ({ engine, device, isRequired: false })));
  }
  return names.map((name) => {
    const [engine, device] = name.split(/:(.*)/s);
    if (!(ENGINE_NAMES as readonly string[]).includes(engine!)) {
      throw new ConfigError(
        `--engines ${name}: no such engine; use ${ENGINE_NAMES.join(', ')}, as NAME or NAME:DEVICE`,
      );
    }
    return { engine: engine!, device, isRequired: true };
  });
}

/** Why a choice that was not asked for by name is left out: a device that is not here, or an adapter in software. */
export async function absenceOf({ engine, device, isRequired }: EngineChoice): Promise<string | undefined> {
  const { absence }: EngineEntry = ENGINES[engine as EngineName];
  return isRequired || device === undefined ? undefined : absence?.(device);
}

export function describeChoice({ engine, device }: EngineChoice): string {
  return device === undefined ? engine : `${engine} on ${device}`;
}
