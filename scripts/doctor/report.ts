/** What a doctor found, as lines for people and as JSON. */
import { countOf } from '../../protocol/counts.ts';
import { printable } from '../../protocol/errors.ts';
import { PROTOCOL_VERSION } from '../../protocol/wire/messages.ts';
import { packageVersion } from '../process.ts';
import type { Check, Mark, Section } from './check.ts';

const HEADINGS: Readonly<Record<Section, string>> = {
  way: 'The way to the coordinator',
  run: 'Its run, and the link to it',
  machine: 'This machine',
};

const WORDS: Readonly<Record<Mark, string>> = { ok: 'ok', warn: 'warn', fail: 'FAIL', skipped: '-' };

const MARK_WIDTH = 6;
const NAME_WIDTH = 14;
/** Columns that a text needs beside the name of its check; with fewer it stands below. */
const LEAST_TEXT_WIDTH = 36;

export const headingOf = (section: Section): string => HEADINGS[section];

/** The lines of one check, of at most `columns` characters where words allow it. */
export function linesOf({ mark, name, text, cure }: Check, columns: number): string[] {
  const head = `  ${WORDS[mark].padEnd(MARK_WIDTH)}${name}`;
  const hasRoom = columns >= 2 + MARK_WIDTH + NAME_WIDTH + LEAST_TEXT_WIDTH;
  const indent = ' '.repeat(2 + MARK_WIDTH + (hasRoom ? NAME_WIDTH : 0));
  const width = columns - indent.length;
  const lines = [...wrapped(text, width), ...(cure === undefined ? [] : wrapped(`cure: ${cure}`, width))];
  if (!hasRoom) return [head, ...lines.map((line) => indent + line)];
  const [first, ...others] = lines;
  return [head.padEnd(indent.length) + first!, ...others.map((line) => indent + line)];
}

/** In lines of at most `width` characters, broken between words. What somebody else said may be in it. */
function wrapped(text: string, width: number): string[] {
  const lines = [''];
  for (const word of printable(text).split(' ')) {
    const last = lines.at(-1)!;
    if (last !== '' && last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines;
}

/** The last line: how many of what, or that all is fine. */
export function summaryOf(checks: readonly Check[]): string {
  const number = (mark: Mark) => checks.filter((check) => check.mark === mark).length;
  const [numFailed, numWarned] = [number('fail'), number('warn')];
  const warnings = numWarned === 0 ? '' : `, ${countOf(numWarned, 'warning')}`;
  return numFailed === 0 ? `nothing is in the way${warnings}` : `${countOf(numFailed, 'check')} failed${warnings}`;
}

export const hasFailed = (checks: readonly Check[]): boolean => checks.some(({ mark }) => mark === 'fail');

export function asJson(checks: readonly Check[], urls: readonly string[]): string {
  const versions = { gradsock: packageVersion(), protocol: PROTOCOL_VERSION, node: process.version };
  return JSON.stringify({ ...versions, urls, isFine: !hasFailed(checks), checks }, undefined, 2);
}
