/** Refusal log: tells of refused connections one by one, of a flood of them by their number. So no flood fills a disk. */
import { LIMITS } from '../../protocol/wire/limits.ts';
import { countOf } from '../../protocol/counts.ts';

export interface RefusalLog {
  /** Tells of one, or counts it. */
  add(line: string, fields: object): void;
  /** Tells how many have been counted since the last line, if any. */
  flush(): void;
}

export interface RefusalLimits {
  /** Lines in one window; the window begins with the first of them, and its end tells the number of the others. */
  readonly maxLines: number;
  readonly windowMs: number;
}

export function createRefusalLog(
  log: (line: string, fields: object) => void,
  { maxLines, windowMs }: RefusalLimits = { maxLines: LIMITS.refusalLines, windowMs: LIMITS.refusalWindowMs },
): RefusalLog {
  let timer: NodeJS.Timeout | undefined;
  let numLines = 0;
  let numOthers = 0;

  const flush = () => {
    if (numOthers > 0)
      log(`${countOf(numOthers, 'more connection was', 'more connections were')} refused`, {
        numRefused: numOthers,
      });
    numOthers = 0;
  };
  const endWindow = () => {
    timer = undefined;
    numLines = 0;
    flush();
  };

  return {
    add(line, fields) {
      timer ??= setTimeout(endWindow, windowMs).unref();
      if (numLines === maxLines) numOthers++;
      else {
        numLines++;
        log(line, fields);
      }
    },
    flush,
  };
}
