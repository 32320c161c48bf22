/** The flags that say how the learning rate goes in the course of a run. */
import type { Command } from 'commander';
import { count, flag, index, positive, probability } from './values.ts';
import { DEFAULT_RECIPE } from './recipe.ts';

/** Adds what {@link learningRateAt} of `protocol/state/schedule.ts` goes by, but for the rate itself. */
export function addScheduleFlags(command: Command): Command {
  return command
    .addOption(
      flag('--schedule <name>', 'schedule of the learning rate')
        .choices(['constant', 'step', 'cosine'])
        .default(DEFAULT_RECIPE.schedule),
    )
    .addOption(
      flag('--warmup-steps <n>', 'steps in which the learning rate climbs to its value').argParser(index).default(0),
    )
    .addOption(flag('--decay-epochs <n>', 'of the step schedule: epochs between decays').argParser(count).default(10))
    .addOption(
      flag('--decay-factor <x>', 'of the step schedule: what a decay multiplies by').argParser(positive).default(0.1),
    )
    .addOption(
      flag('--final-factor <x>', 'of the cosine schedule: the part of the rate that it ends at')
        .argParser(probability)
        .default(DEFAULT_RECIPE.finalFactor),
    );
}
