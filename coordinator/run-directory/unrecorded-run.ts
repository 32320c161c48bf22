/** The record of a run that leaves nothing behind: what it is given, it drops. There is no file, and so no lock to lose. */
import { pino } from 'pino';
import type { LockedRecord } from './locked-run-directory.ts';

const done = () => Promise.resolve();

export function createUnrecordedRun(): LockedRecord {
  return {
    path: undefined,
    checkpointFolder: undefined,
    runId: 'unrecorded',
    logger: pino({ enabled: false }),
    recordAllReduce: done,
    appendEpoch: done,
    writeConfusion: done,
    appendSteps: done,
    writeModel: done,
    writeResult: done,
    confirm: done,
    lost: new AbortController().signal,
    renewIfDue() {},
    release: done,
  };
}
