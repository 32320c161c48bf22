/** Outlook: what the model says of clusters that are not here, where every host has cores of its own. */
import type { WireFormat } from '../../../protocol/vectors/encoding.ts';
import type { Algorithm, StepInput } from '../../network/cost-model.ts';
import { ALGORITHMS, efficiencyOf, predictStep } from '../../network/cost-model.ts';
import { bucketsOfModel, payloadBytesOf } from './experiment.ts';
import type { Experiment } from './experiment.ts';
import { parseLink } from '../../network/link.ts';
import type { Link } from '../../network/link.ts';

export const OUTLOOK_WIRES = ['f32', 'bf16', 'int8'] as const satisfies WireFormat[];
const OUTLOOK_WORKERS = [64, 1000] as const;
const OUTLOOK_LINKS = ['1gbit/1ms', '10gbit/0.1ms', '100mbit/20ms'].map((link) => parseLink(link));

export interface OutlookRow {
  readonly model: string;
  readonly wire: WireFormat;
  readonly link: Link;
  readonly numWorkers: number;
  readonly outcomes: Readonly<Record<Algorithm, Outcome>>;
  readonly winner: Algorithm;
}

export interface Outcome {
  readonly stepMs: number;
  readonly efficiency: number;
}

/** A row for every model, wire format, link and number of workers. Epochs are long: proofs are not counted. */
export async function lookOut(experiment: Experiment, models: readonly string[]): Promise<OutlookRow[]> {
  const rows: OutlookRow[] = [];
  for (const model of models) {
    const { figures } = await experiment.alone(model);
    for (const wire of OUTLOOK_WIRES) {
      const handling = await experiment.own(wire);
      for (const link of OUTLOOK_LINKS) {
        for (const numWorkers of OUTLOOK_WORKERS) {
          const input: Omit<StepInput, 'algorithm' | 'buckets'> = {
            ...{ numWorkers, link, handling, cores: 'own', stepsPerEpoch: Infinity },
            ...{ payloadBytes: payloadBytesOf(model, wire), computeMs: figures.computeMs + figures.applyMs },
          };
          const outcomeOf = (algorithm: Algorithm): Outcome => {
            const buckets = bucketsOfModel(model, algorithm, numWorkers);
            const { stepMs } = predictStep({ ...input, algorithm, buckets });
            return { stepMs, efficiency: efficiencyOf(stepMs, figures.stepMs) };
          };
          const outcomes = { star: outcomeOf('star'), ring: outcomeOf('ring') };
          const winner = ALGORITHMS.reduce((a, b) => (outcomes[b].stepMs < outcomes[a].stepMs ? b : a));
          rows.push({ model, wire, link, numWorkers, outcomes, winner });
        }
      }
    }
  }
  return rows;
}
