/** How lines are laid out for people, and durations written. */
import { createLogUpdate } from 'log-update';

/** Lines that are drawn again and again in one place. */
export interface LiveLines {
  /** Replaces what is there. */
  draw(text: string): void;
  /** Takes away what is there: the cursor is where it began. */
  clear(): void;
  /** Gives the cursor back. */
  done(): void;
}

const ESC = '\u001b';
const ERASE_LINE = `${ESC}[2K`;
const CURSOR_UP = `${ESC}[1A`;

/**
 * Undefined where lines cannot be drawn again: in pipes and files, and on terminals that know no escapes.
 *
 * Lines are expected to fit. A terminal that became narrower since they were drawn has broken them: what that has made of
 * them is erased as well.
 */
export function createLiveLines(stream: NodeJS.WriteStream): LiveLines | undefined {
  if (!stream.isTTY || process.env['TERM'] === 'dumb') return undefined;
  const update = createLogUpdate(stream);
  let drawn = { text: '', columns: columnsOf(stream) };
  const clear = () => {
    const columns = columnsOf(stream);
    const broken = columns < drawn.columns ? numBrokenBy(drawn.text, columns) : 0;
    if (broken > 0) stream.write((ERASE_LINE + CURSOR_UP).repeat(broken));
    update.clear();
    drawn = { text: '', columns };
  };
  return {
    draw(text) {
      const columns = columnsOf(stream);
      if (columns < drawn.columns) clear();
      update(text);
      drawn = { text, columns };
    },
    clear,
    done: () => update.done(),
  };
}

/** A terminal that does not tell its width is taken for the usual one. */
export const columnsOf = (stream: NodeJS.WriteStream): number => stream.columns || 80;

/** Lines that a terminal of this width makes of lines that fitted before, less those there were. */
const numBrokenBy = (text: string, columns: number): number =>
  text.split('\n').reduce((sum, line) => sum + Math.max(0, Math.ceil(line.length / columns) - 1), 0);

/** "12 s", "3 min 20 s", "1 h 5 min". */
export function formatDuration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** "1.2 ms", "35 ms", "1.2 s". */
export function formatMs(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

/** The text in at most `width` characters; "…" stands for what does not fit. */
export const cutTo = (text: string, width: number): string =>
  text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;

/** "114.8 MB", below a megabyte "6.1 kB". */
export function formatBytes(bytes: number): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** The text in lines of at most `columns` characters, broken between words, those after the first indented by four. */
export function wrapText(text: string, columns: number): string {
  const indent = /^ */.exec(text)![0];
  const lines = [indent];
  for (const word of text.trimStart().split(' ')) {
    const line = lines.at(-1)!;
    const isStart = line.trim() === '';
    if (!isStart && line.length + 1 + word.length > columns) lines.push(`    ${word}`);
    else lines[lines.length - 1] = isStart ? line + word : `${line} ${word}`;
  }
  return lines.join('\n');
}

/** A part of a line; those of the highest `order` give way first, those without one never. */
export interface LinePart {
  readonly text: string;
  readonly order?: number;
}

/** Parts in their places, with commas, as many as go into one line of `columns` characters. */
export function fitLine(parts: readonly LinePart[], columns: number): string {
  let left = [...parts];
  const line = () => left.map(({ text }) => text).join(', ');
  while (line().length > columns) {
    const last = Math.max(0, ...left.map(({ order = 0 }) => order));
    if (last === 0) break;
    left = left.filter(({ order = 0 }) => order !== last);
  }
  return line();
}
