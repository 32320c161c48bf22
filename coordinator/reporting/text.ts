/** How lines are laid out for people, and durations written. */
import { createLogUpdate } from 'log-update';

/** A line that is drawn again and again in one place. */
export type LiveLine = ReturnType<typeof createLogUpdate>;

/** Undefined where lines cannot be drawn again: in pipes and files, and on terminals that know no escapes. */
export function createLiveLine(stream: NodeJS.WriteStream): LiveLine | undefined {
  return stream.isTTY && process.env['TERM'] !== 'dumb' ? createLogUpdate(stream) : undefined;
}

/** "12 s", "3 min 20 s", "1 h 5 min". */
export function formatDuration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

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
