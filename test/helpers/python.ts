/** Python for tests that compare with its libraries: where it is missing they are skipped, and say so. */
import { spawnSync } from 'node:child_process';

/** The interpreter to use. Default: `python3`. */
const VARIABLE = 'GRADSOCK_PYTHON';

/** An interpreter that can import all of `modules`; undefined, after a line on stderr, where there is none. */
export function findPython(modules: readonly string[]): string | undefined {
  const python = process.env[VARIABLE] ?? 'python3';
  const { status } = spawnSync(python, ['-c', `import ${modules.join(', ')}`], { stdio: 'ignore' });
  if (status === 0) return python;
  process.stderr.write(
    `skipped what needs Python: ${python} cannot import ${modules.join(', ')}: name one that can by $${VARIABLE}\n`,
  );
  return undefined;
}
