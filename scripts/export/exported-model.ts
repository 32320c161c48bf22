/** What is exported: a model, what its run recorded, and what every format says of it to programs. */
import { readEpochs, readRunConfig, summariseRun } from '../runs/run-summary.ts';
import type { Recorded, RunSummary } from '../runs/run-summary.ts';
import type { OpenedModel } from '../../coordinator/run-directory/open-model.ts';
import type { EpochRecord } from '../../coordinator/reporting/reporter.ts';
import { sha256Of } from '../../protocol/state/replica.ts';

/** What a model takes: pixels as bytes, which it divides by 255 itself, or as float32 from 0 to 1. */
export const INPUT_KINDS = ['bytes', 'floats'] as const;
export type InputKind = (typeof INPUT_KINDS)[number];

/** What a run directory says beside its model. */
export interface RunRecords {
  readonly config: Recorded;
  /** The record of the epoch that the model is of, where it is of a whole one. */
  readonly epoch: EpochRecord | undefined;
  readonly summary: RunSummary;
}

export interface ExportedModel {
  readonly model: OpenedModel;
  /** Whether it is the run's most accurate model, asked for as that. */
  readonly isBest: boolean;
  readonly inputKind: InputKind;
  /** Of gradsock. */
  readonly version: string;
  /** Of a model that was named by its file there are none. */
  readonly run: RunRecords | undefined;
  /** Of its parameters: what the run's `result.json` has for a model that is the run's last. */
  readonly parametersSha256: string;
}

/** Throws `ConfigError` where the run's configuration cannot be read. */
export function describeExport(
  model: OpenedModel,
  { isBest, inputKind, version }: Pick<ExportedModel, 'isBest' | 'inputKind' | 'version'>,
): ExportedModel {
  const run = model.run === undefined ? undefined : recordsOf(model.run, model.epoch);
  return { model, isBest, inputKind, version, run, parametersSha256: sha256Of(model.parameters) };
}

function recordsOf(run: string, epoch: number | undefined): RunRecords {
  const record = readEpochs(run).find((candidate) => candidate.epoch === epoch);
  return { config: readRunConfig(run), epoch: record, summary: summariseRun(run) };
}

/** What a format's metadata say: as JSON, or through {@link textFacts} as text. */
export function factsOf({ model, version, parametersSha256 }: ExportedModel) {
  const { plan, classes, dataset, step, epoch, accuracy } = model;
  return {
    gradsock: version,
    model: plan.spec,
    classes,
    ...(dataset && { dataset: dataset.name, datasetSha256: dataset.sha256 }),
    step,
    ...(epoch !== undefined && { epoch }),
    ...(accuracy !== undefined && { accuracy }),
    parametersSha256,
  };
}

/** The same as text under each key: what is not text is JSON. For formats whose metadata are strings. */
export function textFacts(exported: ExportedModel): Record<string, string> {
  const facts = Object.entries(factsOf(exported));
  return Object.fromEntries(
    facts.map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)]),
  );
}
