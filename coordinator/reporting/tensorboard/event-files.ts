/**
 * The event files of a run: one folder a split, in it one file for each process that the run had. Files are only appended
 * to, which is how TensorBoard follows them while they grow. They are for viewing: nothing is read back, and the disk is
 * not waited for.
 */
import { closeSync, fstatSync, ftruncateSync, mkdirSync, openSync, readdirSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describeSystemError } from '../../../protocol/system-errors.ts';
import { fileVersionEvent, frameRecord, sessionStartEvent } from './event.ts';

export type Split = 'train' | 'test' | 'validation';

/** Bytes, and milliseconds, that events wait in memory until the next one: a write takes 0.1 ms, and TensorBoard looks every 5 s. */
const MOST_WAITING_BYTES = 65_536;
const LONGEST_WAIT_MS = 1000;

export interface EventFiles {
  /** Takes an event; it is written soon. */
  add(split: Split, event: Uint8Array): void;
  /** All that were added before are written. */
  flush(): void;
}

export interface EventFilesOptions {
  /** Holds the folders of the splits. It is made with the first event, and a split's folder with the first of the split. */
  readonly folder: string;
  /** The first step that this process takes. Events that earlier processes wrote for this step or later ones are obsolete. */
  readonly firstStep: number;
  /** Told, once, that a file cannot be written; from then on events are dropped. */
  readonly warn: (line: string) => void;
}

export function createEventFiles({ folder, firstStep, warn }: EventFilesOptions): EventFiles {
  const paths = new Map<Split, string>();
  const waiting = new Map<Split, Uint8Array[]>();
  let numWaitingBytes = 0;
  let flushedMs = performance.now();
  let hasFailed = false;

  const begin = (split: Split, records: readonly Uint8Array[]) => {
    const place = join(folder, split);
    mkdirSync(place, { recursive: true });
    const { path, isFirst } = newFileIn(place);
    const seconds = Date.now() / 1000;
    const head = [fileVersionEvent(seconds), ...(isFirst ? [] : [sessionStartEvent(seconds, firstStep)])];
    appendWhole(path, [...head.map(frameRecord), ...records], 'ax');
    paths.set(split, path);
  };

  const flush = () => {
    for (const [split, records] of waiting) {
      if (hasFailed) break;
      const path = paths.get(split);
      try {
        if (path === undefined) begin(split, records);
        else appendWhole(path, records, 'a');
      } catch (error) {
        hasFailed = true;
        const reason = describeSystemError(path ?? join(folder, split), 'written', error);
        warn(`warning: the run goes on without TensorBoard's event files: ${reason}`);
      }
    }
    waiting.clear();
    numWaitingBytes = 0;
    flushedMs = performance.now();
  };

  return {
    add(split, event) {
      if (hasFailed) return;
      const record = frameRecord(event);
      const records = waiting.get(split);
      if (records) records.push(record);
      else waiting.set(split, [record]);
      numWaitingBytes += record.length;
      if (numWaitingBytes >= MOST_WAITING_BYTES || performance.now() - flushedMs >= LONGEST_WAIT_MS) flush();
    },
    flush,
  };
}

/**
 * A name that comes after all that the folder has: TensorBoard reads files in the order of their names, and a clock may be
 * set back.
 */
function newFileIn(folder: string): { path: string; isFirst: boolean } {
  const earlier = readdirSync(folder).flatMap((name) => {
    const seconds = /^events\.out\.tfevents\.(\d{10})\./.exec(name)?.[1];
    return seconds === undefined ? [] : [Number(seconds)];
  });
  const seconds = Math.max(Math.floor(Date.now() / 1000), ...earlier.map((other) => other + 1));
  const host = hostname().replaceAll(/[^\w.-]/g, '_');
  const name = `events.out.tfevents.${String(seconds).padStart(10, '0')}.${host}.${process.pid}`;
  return { path: join(folder, name), isFirst: earlier.length === 0 };
}

/** The records are in the file, all of them, or it is as long as it was. */
function appendWhole(path: string, records: readonly Uint8Array[], flags: 'a' | 'ax'): void {
  const bytes = Buffer.concat(records);
  const file = openSync(path, flags);
  try {
    const { size } = fstatSync(file);
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
    } catch (error) {
      cutTo(file, size);
      throw error;
    }
  } finally {
    closeSync(file);
  }
}

/** Where even this fails, a torn record is at the end of the file: TensorBoard takes that for one that is being written. */
function cutTo(file: number, size: number): void {
  try {
    ftruncateSync(file, size);
  } catch {
    // The error that matters is the first one.
  }
}
