/**
 * Fields of an epoch's record as version 0.1.0 named them: nested, and with names that stand for several things. They are
 * written beside the flat ones for one more version, for programs that read them. The types of the records do not have
 * them, so nothing here reads them.
 */
import type { PartsInSeconds } from './flat-parts.ts';
import type { EpochRecord, WorkerRecord } from './reporter.ts';

/** `breakdown` and `bytesPerStep`, of a record's flat fields. */
export const deprecatedEpochFields = (
  record: Pick<EpochRecord, 'bytesSentPerStep' | 'bytesReceivedPerStep'> & PartsInSeconds,
) => ({
  breakdown: {
    computeSeconds: record.computePartSeconds,
    encodeSeconds: record.encodePartSeconds,
    wireSeconds: record.wirePartSeconds,
    waitSeconds: record.waitPartSeconds,
    reduceSeconds: record.reducePartSeconds,
    applySeconds: record.applyPartSeconds,
    otherSeconds: record.otherPartSeconds,
  },
  bytesPerStep: { sent: record.bytesSentPerStep, received: record.bytesReceivedPerStep },
});

/** `samples` and the three times of a worker under names that the epoch's own fields have too. */
export const deprecatedWorkerFields = (worker: Pick<WorkerRecord, 'workerSamples' | WorkerTime>) => ({
  samples: worker.workerSamples,
  computeSeconds: worker.workerComputeSeconds,
  communicationSeconds: worker.workerCommunicationSeconds,
  waitSeconds: worker.workerWaitSeconds,
});

type WorkerTime = 'workerComputeSeconds' | 'workerCommunicationSeconds' | 'workerWaitSeconds';
