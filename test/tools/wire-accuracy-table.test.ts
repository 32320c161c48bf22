import { describe, expect, it } from 'vitest';
import type { WireFormat } from '../../protocol/vectors/encoding.ts';
import { formatWireAccuracy } from '../../scripts/bench/wire-accuracy/table.ts';

const run = (wire: WireFormat, seed: number, testAccuracy: number) => ({
  wire,
  seed,
  loss: 0.1 * seed,
  trainAccuracy: 0.9,
  testAccuracy,
});
const rowsOf = (text: string): string[][] =>
  text
    .split('\n')
    .slice(2)
    .map((line) => line.slice(2, -2).split(' | '));

describe('the table of what wire formats cost in accuracy', () => {
  const exact = [run('f32', 1, 0.9), run('f32', 2, 0.91), run('f32', 3, 0.905)];

  it('has means over seeds, the spread, and differences to f32 with the same seed', () => {
    const int8 = [run('int8', 3, 0.9), run('int8', 1, 0.903), run('int8', 2, 0.9)];
    expect(rowsOf(formatWireAccuracy({ dense: [...int8, ...exact] }))).toEqual([
      ['`dense`', '`f32`', '3', '0.2000', '0.9000', '0.9050', '1.00', '-', '-'],
      ['`dense`', '`int8`', '3', '0.2000', '0.9000', '0.9010', '0.30', '-0.40', '-1.00 to +0.30'],
    ]);
  });

  it('compares only over seeds that f32 has too', () => {
    const [, row] = rowsOf(formatWireAccuracy({ conv: [exact[0]!, run('f16', 1, 0.9), run('f16', 7, 0.5)] }));
    expect(row!.slice(2)).toEqual(['2', '0.4000', '0.9000', '0.7000', '40.00', '0.00', '0.00 to 0.00']);
  });

  it('compares nothing where f32 has no run', () => {
    const [row] = rowsOf(formatWireAccuracy({ conv: [run('bf16', 1, 0.9)] }));
    expect(row!.slice(-2)).toEqual(['-', '-']);
  });

  it('has as many cells in every line, models in the order given, and none without runs', () => {
    const text = formatWireAccuracy({ 'conv-pool': exact, dense: exact, conv: [] });
    expect(new Set(text.split('\n').map((line) => line.split('|').length)).size).toBe(1);
    expect(rowsOf(text).map(([model]) => model)).toEqual(['`conv-pool`', '`dense`']);
  });
});
