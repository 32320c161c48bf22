import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { fill } from '../../scripts/bench/allreduce/processes.ts';

const PROGRAM = fileURLToPath(new URL('../../scripts/bench/allreduce.ts', import.meta.url));
/** More than any array holds. */
const TOO_MANY = 1e15;

describe('the benchmark of all-reduces', () => {
  it('measures star, ring and bare TCP, and keeps what it has when another size cannot be measured', async () => {
    const sizes = ['--floats', `1000,${TOO_MANY}`, '--workers', '2', '--wires', 'f32', '--ways', 'star,ring'];
    const child = spawn(process.execPath, ['--import', 'tsx', PROGRAM, ...sizes, '--no-gloo', '--pairs', '1']);
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close') as Promise<[number]>,
    ]);
    const [, , ...rows] = stdout.trimEnd().split('\n');
    expect(rows.map((row) => row.split(' | ').slice(0, 3).join(' | '))).toEqual([
      '| 1000 | 2 | star, f32, sockets',
      '| 1000 | 2 | ring, f32, sockets',
      '| 1000 | 2 | bare TCP',
    ]);
    expect(stderr).toContain(`${TOO_MANY} floats, 2 workers: not measured: `);
    expect(code).toBe(1);
  });

  it.each([0, 1, 4096, 4097, 10_000])('fills %d values, whatever the length', (length) => {
    const vector = new Float32Array(length);
    fill(vector);
    expect(vector.every((value, i) => value === Math.fround(Math.sin(i % 4096)))).toBe(true);
  });
});
