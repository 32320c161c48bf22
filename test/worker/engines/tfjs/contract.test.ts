import { createTfjsEngine } from '../../../../worker/engines/tfjs/tfjs-engine.ts';
import { describeEngineContract } from '../../../contracts/engine.contract.ts';
import { QUICK_MODEL } from '../../../helpers/models.ts';
import { countOfCases } from '../../../helpers/tier.ts';

describeEngineContract('tfjs on wasm', {
  create: (options) => createTfjsEngine({ device: 'wasm', ...options }),
  sizes: [1, 7, 64],
});
describeEngineContract('tfjs on cpu', {
  create: (options) => createTfjsEngine({ device: 'cpu', ...options }),
  sizes: [1, 7],
  numRandomModels: countOfCases(10, 400),
  modelOfCalls: QUICK_MODEL,
});
