import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { trimTypes } from '../../../scripts/develop/trim-types.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

test('the declarations that the library leads to are left, with imports of compiled files', () => {
  const output = temporaryFolder();
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(output, path)), { recursive: true });
    writeFileSync(join(output, path), text);
  };
  write('library/index.d.ts', "export { a } from './a.ts';\nexport type { Z } from 'zod';\n");
  write('library/a.d.ts', "import type { B } from '../b.ts';\nexport declare const a: import('./c.ts').C & B;\n");
  write('library/c.d.ts', "export type { A } from './a.ts';\nexport type { E } from './e.tsx';\n");
  write('library/e.d.ts', 'export type E = 1;\n');
  write('b.d.ts', 'export type B = 1;\n');
  write('other/d.d.ts', 'export type D = 1;\n');
  write('other/d.js', '');
  expect(trimTypes(output, 'library/index.d.ts')).toEqual([
    'b.d.ts',
    'library/a.d.ts',
    'library/c.d.ts',
    'library/e.d.ts',
    'library/index.d.ts',
  ]);
  expect(readFileSync(join(output, 'library/a.d.ts'), 'utf8')).toBe(
    "import type { B } from '../b.js';\nexport declare const a: import('./c.js').C & B;\n",
  );
  expect(() => readFileSync(join(output, 'other/d.d.ts'))).toThrow('ENOENT');
  expect(readFileSync(join(output, 'other/d.js'), 'utf8')).toBe('');
});
