import { createTfjsEngine } from '../../worker/engines/tfjs/tfjs-engine.ts';
import { describeEngineContract } from '../contracts/engine.contract.ts';

describeEngineContract('tfjs on TensorFlow', {
  create: (options) => createTfjsEngine({ device: 'tensorflow', ...options }),
  sizes: [1, 7, 64],
  numRandomModels: 20,
});
