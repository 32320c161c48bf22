/** The groups in which `--help` lists flags. The groups come in the order in which a command adds them. */
import type { Option } from 'commander';

export const GROUPS = {
  hosts: 'Hosts:',
  model: 'Model:',
  training: 'Training:',
  data: 'Data:',
  distribution: 'Distribution:',
  measurement: 'Measurement:',
  joining: 'Joining:',
  faults: 'Faults:',
  files: 'Files and output:',
  engine: 'Engine:',
} as const;

/** The flags, each listed in this group. */
export function inGroup(group: keyof typeof GROUPS, flags: readonly Option[]): readonly Option[] {
  return flags.map((option) => option.helpGroup(GROUPS[group]));
}
