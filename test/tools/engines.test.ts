/** `gradsock engines`: every engine of this machine, timed. */
import { describe, expect, test } from 'vitest';
import type { SurveyRow } from '../../scripts/survey/survey.ts';
import type { Finding } from '../../scripts/survey/survey-process.ts';
import { nativeAvailability } from '../../worker/engines/native/loader.ts';
import { AUTO_ORDER, ENGINE_NAMES, ENGINES } from '../../worker/engines/registry.ts';
import { runCli } from '../helpers/cli.ts';

/** What runs everywhere, and where a compiler was found. */
const TRAINERS: [string, string][] = [
  ...(nativeAvailability().available ? [['native', 'cpu'] as [string, string]] : []),
  ['onnx', 'cpu'],
  ['tfjs', 'wasm'],
];

describe('gradsock engines', () => {
  test('finds and times every engine on every device, or says why not, and what auto takes', async () => {
    const { code, output } = await runCli(['engines', '--json', '--models', 'dense']);
    expect(code, output).toBe(0);
    const survey = JSON.parse(output) as { timing: object; engines: SurveyRow[]; auto: Finding[] };
    expect(survey.timing).toEqual({ globalBatch: 256, threads: 1, samples: 'Fashion-MNIST' });
    const pairs = ENGINE_NAMES.flatMap((engine) => ENGINES[engine].devices.map((device) => `${engine} on ${device}`));
    expect(survey.engines.map(({ engine, device }) => `${engine} on ${device}`)).toEqual(pairs);

    const findingOf = (name: string, on: string) =>
      survey.engines.find(({ engine, device }) => engine === name && device === on)!.findings[0]!;
    for (const [engine, device] of TRAINERS) {
      const finding = findingOf(engine, device);
      expect(finding).toMatchObject({ isUsable: true, engine, stepMs: expect.any(Number) });
      expect(finding.isUsable && finding.probe!.error).toBeLessThan(1e-3);
    }
    for (const { findings } of survey.engines) {
      expect(findings).toEqual([expect.objectContaining({ model: 'dense' })]);
      // A reason with a cure, and without a flag that nobody gave.
      if (!findings[0]!.isUsable) expect(findings[0]!.reason).toMatch(/^(?!--).+; .+/s);
    }

    const [taken] = survey.auto;
    const first = AUTO_ORDER.find(({ engine, device }) => findingOf(engine, device).isUsable)!;
    expect(taken).toMatchObject({ isUsable: true, engine: first.engine });
  });
});
