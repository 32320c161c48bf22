/** Learning-rate schedules: computed by the coordinator alone, so that no replica's `Math.cos` can differ. */
import { z } from 'zod';

export const scheduleConfigSchema = z.strictObject({
  name: z.enum(['constant', 'step', 'cosine']),
  learningRate: z.number().gt(0),
  /** The rate climbs in a straight line over this many steps before the schedule takes over. */
  warmupSteps: z.int().min(0),
  /** step: the rate is multiplied by `decayFactor` after every `decayEpochs` epochs. */
  decayEpochs: z.int().min(1),
  decayFactor: z.number().gt(0).lte(1),
  /** cosine: what the rate ends at, as a part of `learningRate`; 0 when absent. */
  finalFactor: z.number().min(0).lte(1).optional(),
});

export type ScheduleConfig = Readonly<z.infer<typeof scheduleConfigSchema>>;
export type ScheduleName = ScheduleConfig['name'];

/** Where a step stands: `step` counts from 1 over the whole run, `epoch` from 1; `totalSteps` is the run's length. */
export interface SchedulePoint {
  readonly step: number;
  readonly epoch: number;
  readonly totalSteps: number;
}

/**
 * The learning rate of a step.
 *
 *     warm-up   rate step / warmupSteps                                  while step <= warmupSteps
 *     constant  rate
 *     step      rate decayFactor^floor((epoch - 1) / decayEpochs)
 *     cosine    rate (end + (1 - end) (1 + cos(pi t)) / 2),  t = (step - 1 - warmupSteps) / (totalSteps - warmupSteps)
 */
export function learningRateAt(config: ScheduleConfig, { step, epoch, totalSteps }: SchedulePoint): number {
  const { learningRate, warmupSteps } = config;
  if (step <= warmupSteps) return (learningRate * step) / warmupSteps;
  switch (config.name) {
    case 'constant':
      return learningRate;
    case 'step':
      return learningRate * config.decayFactor ** Math.floor((epoch - 1) / config.decayEpochs);
    case 'cosine': {
      const progress = Math.min(1, (step - 1 - warmupSteps) / (totalSteps - warmupSteps));
      const { finalFactor = 0 } = config;
      const falling = (learningRate * (1 + Math.cos(Math.PI * progress))) / 2;
      return finalFactor * learningRate + (1 - finalFactor) * falling;
    }
  }
}
