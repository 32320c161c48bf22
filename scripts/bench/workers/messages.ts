/** What the processes of this benchmark tell each other over their channels. */

/** To the process of the coordinator, once. */
export interface CoordinatorOrder {
  readonly numWorkers: number;
  readonly model: string;
  readonly steps: number;
  readonly stepsPerEpoch: number;
  readonly samplesPerWorker: number;
  readonly runDir: string;
  readonly allReduce: 'star' | 'ring';
}

/** From it. */
export type CoordinatorReport =
  | { readonly kind: 'listening'; readonly joinUrl: string }
  | { readonly kind: 'started'; readonly joinSeconds: number }
  /** Since the step before: processor time, and how long the event loop was busy. */
  | ({ readonly kind: 'step'; readonly step: number } & StepCost)
  | { readonly kind: 'line'; readonly text: string }
  | {
      readonly kind: 'ended';
      readonly status: string;
      readonly parametersSha256: string;
      readonly peakMegabytes: number;
    };

export interface StepCost {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly busyMs: number;
}

/** To a process that holds workers, once. */
export interface WorkersOrder {
  readonly joinUrl: string;
  readonly names: readonly string[];
}

/** From it, when asked by any further message: what it has used so far. */
export interface WorkersUsage {
  readonly cpuMs: number;
  readonly megabytes: number;
}
