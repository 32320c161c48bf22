/** The flags of how a step's work is distributed and its gradients are averaged. */
import type { Option } from 'commander';
import { ALL_REDUCES, SHARES } from '../../coordinator/run-config.ts';
import { WIRE_FORMATS } from '../../protocol/vectors/encoding.ts';
import { count, flag } from './values.ts';

/** Of every run, with workers of its own or without. */
export function microbatchFlags(): readonly Option[] {
  return [
    flag('--microbatches <n>', 'parts of a global batch. Default: one per worker').argParser(count),
    flag('--local-steps <h>', 'steps that each microbatch takes alone before states are averaged')
      .argParser(count)
      .default(1),
  ];
}

/** Of a run with several workers. */
export function allReduceFlags(): readonly Option[] {
  return [
    flag(
      '--all-reduce <name>',
      'how gradients are averaged. star: by the coordinator; ring: by the workers among themselves; auto: by their number and links',
    )
      .choices(ALL_REDUCES)
      .default('auto'),
    flag(
      '--wire <format>',
      'number format of gradients on the wire: f32 is exact, bf16 and f16 take half of the bytes, int8 a quarter',
    )
      .choices(WIRE_FORMATS)
      .default('f32'),
    flag(
      '--shares <how>',
      "each worker's share of the microbatches. equal; speed: by measured speed; auto: by speed where that changes no bit",
    )
      .choices(SHARES)
      .default('auto'),
    flag('--no-shared-memory', 'send gradients through sockets to workers on this machine as well'),
  ];
}
