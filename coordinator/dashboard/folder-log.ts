/** What a run's log tells of its events: lines of `log.jsonl` as events with the time of each. */
import { isRaw, parse } from './old-records.ts';
import type { EventView } from './run-view.ts';

const INFORMATION = 30;
const WARNING = 40;
const BAD = /\b(lost|late|refused|failed|broken|no worker|not finite|left behind)\b/;
const GOOD = /\b(is ready|takes part|has joined|is back)\b/;

/** Undefined for a line that tells of no event: the record of an epoch, or the result, which a view has elsewhere. */
export function eventOf(line: string): EventView | undefined {
  const record = parse(line);
  if (!record) return undefined;
  const { msg, time, level, epoch, status, err, code } = record;
  if (typeof msg !== 'string' || msg === '' || typeof time !== 'number' || !Number.isFinite(time)) return undefined;
  if (typeof epoch === 'number' || typeof status === 'string') return undefined;
  // What ended the run is told by its result; connections also end when it is over, which is no warning.
  if (isRaw(err) || (code !== undefined && level === INFORMATION)) return undefined;
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return undefined;
  const isBad = (typeof level === 'number' && level >= WARNING) || BAD.test(msg);
  return { at: at.toISOString(), tone: isBad ? 'bad' : GOOD.test(msg) ? 'good' : 'neutral', text: msg };
}
