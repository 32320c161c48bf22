/** The engine on WebGPU, on whatever adapter there is; without a GPU, on one in software. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MODELS } from '../../../../protocol/state/models.ts';
import type { Engine, EngineOptions } from '../../../../worker/engines/engine.ts';
import { hardwareGpuReason } from '../../../../worker/engines/onnx/adapters.ts';
import { createOnnxEngine } from '../../../../worker/engines/onnx/onnx-engine.ts';
import { describeEngineContract } from '../../../contracts/engine.contract.ts';
import { trainedState } from '../../../helpers/models.ts';
import { useSoftwareAdapter } from './software-adapter.ts';

const missing = useSoftwareAdapter();
const create = (options: EngineOptions) => createOnnxEngine({ device: 'webgpu', ...options });

if (missing !== undefined) process.stderr.write(`the onnx engine is not tested on webgpu: ${missing}\n`);

describe.skipIf(missing !== undefined)('the onnx engine on webgpu', () => {
  const options = { ...trainedState(MODELS.dense, 1), maxBatch: 8, threads: 1 };
  // While one engine lives, the others find their shaders compiled: that takes seconds on a software adapter.
  let first: Engine;
  beforeAll(async () => {
    first = await create(options);
  });
  afterAll(() => first.dispose());

  it('says whether it runs in software', () => {
    const isSoftware = process.platform === 'linux' && hardwareGpuReason() !== undefined;
    expect(first).toMatchObject({ name: 'onnx', device: isSoftware ? 'webgpu (software)' : 'webgpu' });
  });

  describeEngineContract('onnx on webgpu', { create, sizes: [1, 7], numRandomModels: 10 });
});
