/** The documents name every error code, and no other. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { PROTOCOL_ERROR_CODES } from '../../protocol/errors.ts';

/** Codes of a run's result beside those of the protocol: a file that cannot be written, and a fault of ours. */
const RESULT_CODES = ['ERR_STORAGE', 'ERR_INTERNAL'];

const codesIn = (path: string): string[] => {
  const text = readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');
  return [...new Set([...text.matchAll(/`(ERR_[A-Z_]+)`/g)].map(([, code]) => code!))].sort();
};

test('docs/reference/errors.md has every code that a run can end with', () => {
  expect(codesIn('docs/reference/errors.md')).toEqual([...PROTOCOL_ERROR_CODES, ...RESULT_CODES].sort());
});

test('protocol/README.md has every code that travels', () => {
  expect(codesIn('protocol/README.md')).toEqual(expect.arrayContaining([...PROTOCOL_ERROR_CODES].sort()));
});
