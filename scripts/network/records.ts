/** Records: what is read of a run's `epochs.jsonl`, and the figures of a step that are made of it. */
import { z } from 'zod';
import { countOf } from '../../protocol/counts.ts';
import { ConfigError } from '../../protocol/errors.ts';

/** What of a line is used here; it may hold more. */
const epochSchema = z.object({
  epoch: z.int().min(1),
  seconds: z.number().gt(0),
  samples: z.int().min(1),
  steps: z.int().min(1),
  computePartSeconds: z.number().min(0),
  encodePartSeconds: z.number().min(0),
  wirePartSeconds: z.number().min(0),
  waitPartSeconds: z.number().min(0),
  reducePartSeconds: z.number().min(0),
  applyPartSeconds: z.number().min(0),
  otherPartSeconds: z.number().min(0),
  bytesSent: z.int().min(0),
  bytesReceived: z.int().min(0),
  sharedBytesSent: z.int().min(0).default(0),
  sharedBytesReceived: z.int().min(0).default(0),
  workers: z.array(z.object({ name: z.string() })).min(1),
});

export type EpochFigures = z.infer<typeof epochSchema>;

/** Means over the steps of a run's measured epochs. */
export interface StepFigures {
  readonly numSteps: number;
  readonly stepMs: number;
  readonly computeMs: number;
  /** encode + wire + reduce */
  readonly communicationMs: number;
  readonly waitMs: number;
  readonly applyMs: number;
  readonly samplesPerSecond: number;
  /** From the coordinator to one worker, and back: frames' bytes, without WebSocket's and TCP's own. */
  readonly bytesDown: number;
  readonly bytesUp: number;
}

/** Throws `ConfigError`, naming the line, when one is no epoch's record. */
export function parseEpochs(text: string): EpochFigures[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line, index) => {
      const where = `epochs.jsonl, line ${index + 1}`;
      let content: unknown;
      try {
        content = JSON.parse(line);
      } catch {
        throw new ConfigError(`${where}: expected JSON, got ${JSON.stringify(line.slice(0, 80))}: build first`);
      }
      const { data, error } = epochSchema.safeParse(content);
      if (data) return data;
      const [problem] = error.issues;
      throw new ConfigError(`${where}: ${problem!.path.join('.')}: ${problem!.message}: build first`);
    });
}

/** The mean step of the later half of the epochs. The earlier half warms up: compilers, memory, TCP's windows. */
export function figuresOf(epochs: readonly EpochFigures[]): StepFigures {
  const measured = epochs.slice(Math.ceil(epochs.length / 2));
  if (measured.length === 0)
    throw new ConfigError(`${countOf(epochs.length, 'epoch')} recorded: expected 2 or more, the first half warms up`);
  const sum = (value: (epoch: EpochFigures) => number) => measured.reduce((total, epoch) => total + value(epoch), 0);
  const numSteps = sum(({ steps }) => steps);
  const seconds = sum((epoch) => epoch.seconds);
  const numWorkers = measured[0]!.workers.length;
  const perStepMs = (value: (epoch: EpochFigures) => number) => (1000 * sum(value)) / numSteps;
  return {
    numSteps,
    stepMs: (1000 * seconds) / numSteps,
    computeMs: perStepMs(({ computePartSeconds }) => computePartSeconds),
    communicationMs: perStepMs(
      ({ encodePartSeconds, wirePartSeconds, reducePartSeconds }) =>
        encodePartSeconds + wirePartSeconds + reducePartSeconds,
    ),
    waitMs: perStepMs(({ waitPartSeconds }) => waitPartSeconds),
    applyMs: perStepMs(({ applyPartSeconds }) => applyPartSeconds),
    samplesPerSecond: sum(({ samples }) => samples) / seconds,
    bytesDown: sum(({ bytesSent }) => bytesSent) / numSteps / numWorkers,
    bytesUp: sum(({ bytesReceived }) => bytesReceived) / numSteps / numWorkers,
  };
}
