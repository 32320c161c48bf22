/** The batch script for Slurm: a shell reads it, and the program has its flags. What it does: `test/clusters/slurm.test.ts`. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { createProgram } from '../../scripts/program.ts';

const SCRIPT = fileURLToPath(new URL('../../deploy/slurm/gradsock.sbatch', import.meta.url));

test("the batch script is a shell's, and starts the program with flags that it has", async () => {
  expect(spawnSync('bash', ['-n', SCRIPT], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
  const text = readFileSync(SCRIPT, 'utf8');
  const program = await createProgram(['coordinator', 'worker']);
  for (const name of ['coordinator', 'worker']) {
    const [, words = ''] = new RegExp(`"\\$\\{gradsock\\[@\\]\\}" ${name} (.*?)&$`, 'ms').exec(text)!;
    const used = words.match(/--[\w-]+/g) ?? [];
    const flags = program.commands.find((command) => command.name() === name)!.options.map(({ long }) => long);
    expect(used).toContain('--join-file');
    for (const flag of used) expect(flags).toContain(flag);
  }
});
