import { describe, expect, it } from 'vitest';
import { MODELS } from '../../../protocol/state/models.ts';
import type { Finding } from '../../../scripts/survey/survey-process.ts';
import { formatAuto, formatNotes, formatTable } from '../../../scripts/survey/table.ts';

const models = [MODELS.dense, MODELS.conv];
const usable = (model: string, stepMs: number | null, error?: number, note?: string): Finding => ({
  model,
  isUsable: true,
  engine: 'onnx',
  device: 'webgpu (a GPU)',
  probe: error === undefined ? null : { tensor: 'dense1.weight', error },
  stepMs,
  ...(note !== undefined && { note }),
});
const refused = (model: string, reason: string): Finding => ({ model, isUsable: false, reason });

const rows = [
  { engine: 'native', device: 'cpu', findings: [usable('dense', 0.523, 1e-6), usable('conv', 12.34, 2e-5)] },
  { engine: 'onnx', device: 'cuda', findings: [refused('dense', 'no library'), refused('conv', 'no library')] },
  { engine: 'onnx', device: 'webgpu', findings: [usable('dense', 712.4, 6e-6), refused('conv', 'computes wrongly')] },
  {
    engine: 'reference',
    device: 'cpu',
    findings: [usable('dense', 182), usable('conv', null, undefined, 'not timed')],
  },
];

describe('a survey as text', () => {
  it('is a table with a row for each engine and device', () => {
    expect(formatTable(rows, models, true).split('\n')).toEqual([
      'engine     device          probe error  dense  conv',
      'native     webgpu (a GPU)       2.0e-5   0.52  12.3',
      'onnx       cuda             not usable',
      'onnx       webgpu (a GPU)       6.0e-6    712     -',
      'reference  webgpu (a GPU)    the judge    182     -',
    ]);
    expect(formatTable(rows, models, false).split('\n')[1]).toBe('native     webgpu (a GPU)       2.0e-5');
  });

  it('says below why cells are empty: once, where it holds for every model', () => {
    expect(formatNotes(rows)).toEqual([
      'onnx on cuda: no library',
      'onnx on webgpu, conv: computes wrongly',
      'reference on cpu, conv: not timed',
    ]);
  });

  it('says what auto takes: for each model, where that differs', () => {
    const [dense, conv] = [usable('dense', null), usable('conv', null)];
    expect(formatAuto([dense, conv])).toBe('auto takes onnx on webgpu (a GPU)');
    expect(formatAuto([dense, refused('conv', 'nothing here')])).toBe(
      'auto takes onnx on webgpu (a GPU) for dense; nothing (nothing here) for conv',
    );
  });
});
