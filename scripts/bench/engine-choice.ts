/** Which engines are measured: those asked for, else all that `auto` would try and that are here. */
import { ConfigError } from '../../protocol/errors.ts';
import { AUTO_ORDER, ENGINE_NAMES } from '../../worker/engines/registry.ts';

export interface EngineChoice {
  readonly engine: string;
  /** The engine's default when left out. */
  readonly device?: string | undefined;
  /** Asked for by name: that it is missing is an error, not a line in the report. */
  readonly isRequired: boolean;
}

/**
 * `native,onnx`, or with devices `native:avx2,onnx:cpu`. Without names: every engine and device of the registry's order.
 *
 * Throws `ConfigError` for an engine that the registry does not have.
 */
export function chooseEngines(names: readonly string[] | undefined): EngineChoice[] {
  if (names === undefined) return AUTO_ORDER.map(({ engine, device }) => ({ engine, device, isRequired: false }));
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

export function describeChoice({ engine, device }: EngineChoice): string {
  return device === undefined ? engine : `${engine} on ${device}`;
}
