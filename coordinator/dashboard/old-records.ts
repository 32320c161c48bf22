/** Records of older versions, and such as are no whole records, as this version has them. */
import { ALL_REDUCES, runConfigSchema, SHARES } from '../run-config.ts';
import type { RunConfig } from '../run-config.ts';
import type { EpochRecord, RunResult, WorkerRecord } from '../reporting/reporter.ts';
import type { StepRecord } from '../reporting/step-record.ts';
import { STEP_PARTS } from '../reporting/step-sums.ts';

type Raw = Readonly<Record<string, unknown>>;

/** What `config.json` had before it had a field, which a run then did. */
const CONFIG_BEFORE: Partial<Record<keyof RunConfig, unknown>> = {
  workers: 1,
  epochs: 1,
  globalBatch: 256,
  accumulate: 1,
  localSteps: 1,
  seed: 1,
  wire: 'f32',
  allReduce: ALL_REDUCES[0],
  shares: SHARES[0],
  joinTimeoutSeconds: 600,
  stepTimeoutSeconds: 60,
};

/** Undefined where the object is no configuration of a run, in any version. Fields that a run did not have are dropped. */
export function configOf(raw: unknown): RunConfig | undefined {
  if (!isRaw(raw)) return undefined;
  const known = Object.keys(runConfigSchema.shape).filter((name) => raw[name] !== undefined);
  const own = Object.fromEntries(known.map((name) => [name, raw[name]]));
  const filled = { ...CONFIG_BEFORE, microbatches: own['workers'] ?? 1, ...own };
  const checked = runConfigSchema.safeParse(filled);
  return checked.success ? checked.data : undefined;
}

/** Undefined for a line that is no record. Numbers that a version did not write are 0, texts are empty. */
export function epochRecordOf(line: string): EpochRecord | undefined {
  const raw = parse(line);
  if (!raw || !isNumber(raw['epoch'])) return undefined;
  const breakdown = isRaw(raw['breakdown']) ? raw['breakdown'] : {};
  const perStep = isRaw(raw['bytesPerStep']) ? raw['bytesPerStep'] : {};
  const parts = STEP_PARTS.map(([part]) => [
    `${part}PartSeconds`,
    number(raw[`${part}PartSeconds`] ?? breakdown[`${part}Seconds`]),
  ]);
  const workers = (Array.isArray(raw['workers']) ? raw['workers'] : []).filter(isRaw).map(workerRecordOf);
  const fields = EPOCH_NUMBERS.map((name) => [name, number(raw[name])]);
  const record: Record<string, unknown> = {
    ...raw,
    ...fieldsOf([...fields, ...parts]),
    bytesSentPerStep: number(raw['bytesSentPerStep'] ?? perStep['sent']),
    bytesReceivedPerStep: number(raw['bytesReceivedPerStep'] ?? perStep['received']),
    wireRatio: isNumber(raw['wireRatio']) ? raw['wireRatio'] : 1,
    slowestWorker: text(raw['slowestWorker']),
    numWorkers: isNumber(raw['numWorkers']) ? raw['numWorkers'] : workers.length,
    workers,
    ...fieldsOf(EVALUATED.map((name) => [name, isNumber(raw[name]) ? raw[name] : null])),
  };
  for (const name of ['validationLoss', 'validationAccuracy']) {
    // What is not there of a validation is no null: it says that there is none.
    if (raw[name] === undefined) Reflect.deleteProperty(record, name);
  }
  for (const name of ['endedAt', 'learningRate', 'stepsBeforeResume']) {
    if (typeof raw[name] !== (name === 'endedAt' ? 'string' : 'number')) Reflect.deleteProperty(record, name);
  }
  return record as unknown as EpochRecord;
}

const fieldsOf = (entries: readonly (readonly (string | number | null)[])[]): Record<string, unknown> =>
  Object.fromEntries(entries) as Record<string, unknown>;

const EVALUATED = ['testLoss', 'testAccuracy', 'validationLoss', 'validationAccuracy'] as const;

const EPOCH_NUMBERS = [
  ...(['epoch', 'loss', 'trainAccuracy', 'seconds', 'evaluationSeconds', 'samples', 'samplesPerSecond'] as const),
  ...(['steps', 'computeSeconds', 'communicationSeconds', 'otherSeconds', 'bytesSent', 'bytesReceived'] as const),
  'slowestDelaySeconds',
] as const satisfies readonly (keyof EpochRecord)[];

function workerRecordOf(raw: Raw): WorkerRecord {
  return {
    id: text(raw['id']),
    name: text(raw['name'] ?? raw['id']),
    engine: text(raw['engine']),
    device: text(raw['device']),
    threads: number(raw['threads'] ?? 1),
    workerSamples: number(raw['workerSamples'] ?? raw['samples']),
    workerComputeSeconds: number(raw['workerComputeSeconds'] ?? raw['computeSeconds']),
    workerCommunicationSeconds: number(raw['workerCommunicationSeconds'] ?? raw['communicationSeconds']),
    workerWaitSeconds: number(raw['workerWaitSeconds'] ?? raw['waitSeconds']),
  };
}

/** Undefined for a line that is no record of a step. */
export function stepRecordOf(line: string): StepRecord | undefined {
  const raw = parse(line);
  if (!raw || !STEP_NUMBERS.every((name) => isNumber(raw[name]))) return undefined;
  const parts = STEP_PARTS.map(([, field]) => [field, number(raw[field])]);
  const others = STEP_OTHERS.map((name) => [name, number(raw[name])]);
  return { ...raw, ...fieldsOf([...parts, ...others]) } as unknown as StepRecord;
}

const STEP_NUMBERS = [
  'epoch',
  'step',
  'stepInEpoch',
  'steps',
  'loss',
  'stepMs',
] as const satisfies (keyof StepRecord)[];
const STEP_OTHERS = [
  ...(['learningRate', 'trainAccuracy', 'samples', 'numWorkers', 'bytesSent', 'bytesReceived'] as const),
  ...(['sharedBytesSent', 'sharedBytesReceived'] as const),
] as const satisfies readonly (keyof StepRecord)[];

/** Undefined where the object says nothing of how a run ended. */
export function resultOf(raw: unknown): RunResult | undefined {
  if (!isRaw(raw)) return undefined;
  const { status, error } = raw;
  if (status !== 'completed' && status !== 'failed' && status !== 'interrupted') return undefined;
  const numbers = RESULT_NUMBERS.map((name) => [name, number(raw[name])]);
  const said = isRaw(error) && { error: { ...error, code: text(error['code']), message: text(error['message']) } };
  const testAccuracy = isNumber(raw['testAccuracy']) ? raw['testAccuracy'] : null;
  const { trainingSeconds = raw['seconds'], parametersSha256: sha256 } = raw;
  const known = { testAccuracy, trainingSeconds: number(trainingSeconds), parametersSha256: text(sha256) };
  return { ...raw, ...fieldsOf(numbers), ...known, ...said } as unknown as RunResult;
}

const RESULT_NUMBERS = ['steps', 'epochs', 'seconds', 'waitingSeconds'] as const satisfies readonly (keyof RunResult)[];

export function parse(line: string): Raw | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isRaw(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export const isRaw = (value: unknown): value is Raw =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const number = (value: unknown): number => (isNumber(value) ? value : 0);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
