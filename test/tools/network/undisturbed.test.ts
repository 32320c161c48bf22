import { describe, expect, it } from 'vitest';
import { parseMachineTicks, parseProcessTicks } from '../../../scripts/bench/network/other-load.ts';
import { createUndisturbed } from '../../../scripts/bench/network/undisturbed.ts';

/** Measures on a machine where others have these parts of the processors, one measurement after the other. */
async function measureUnder(loads: number[], attempts: number) {
  const lines: string[] = [];
  const signal = new AbortController().signal;
  const options = { maxOtherLoad: 0.05, attempts, patienceSeconds: 0, signal, log: (line: string) => lines.push(line) };
  const left = [...loads];
  const undisturbed = createUndisturbed(options, () => () => left.shift()!);
  let made = 0;
  const best = await undisturbed('a run', () => Promise.resolve(++made));
  return { ...best, made, lines };
}

describe('a measurement', () => {
  it('is made once where nobody disturbs it', async () => {
    expect(await measureUnder([0.01], 3)).toEqual({ result: 1, otherLoad: 0.01, made: 1, lines: ['a run'] });
  });

  it('is repeated until one is not disturbed', async () => {
    const { result, made, lines } = await measureUnder([0.5, 0.02, 0], 3);
    expect([result, made]).toEqual([2, 2]);
    expect(lines).toEqual(['a run', 'a run: again, for others had 50 % of the processors']);
  });

  it('is the least disturbed of all attempts, when they are used up', async () => {
    expect(await measureUnder([0.5, 0.2, 0.3], 3)).toMatchObject({ result: 2, otherLoad: 0.2, made: 3 });
    expect(await measureUnder([0.5, 0.2], 1)).toMatchObject({ result: 1, otherLoad: 0.5, made: 1 });
  });
});

describe("processor time, by Linux's count", () => {
  it("of the machine: users', the system's and what another machine took; not idling, waiting and interrupts", () => {
    expect(parseMachineTicks('cpu  100 20 30 4000 500 6 7 8 9 0\ncpu0 1 1 1 1\n')).toBe(158);
  });

  it('of a process: its own and that of its children, whatever it is called', () => {
    const after = '1 1 1 0 -1 4194304 1 2 3 4 10 20 30 40 20 0 1 0 99 1 1';
    expect(parseProcessTicks(`7 (a) S 1 (b) R ${after}`)).toBe(100);
  });
});
