import { describe, expect, test } from 'vitest';
import { createOptimizer, updateRates } from '../../../protocol/vectors/optimizer.ts';
import { uniformFloats } from '../../../protocol/data/random.ts';
import { optimizerContract } from '../../contracts/optimizer.contract.ts';
import { PLAIN_SGD } from '../../helpers/optimizers.ts';
import type { PlainRule } from '../../contracts/optimizer.contract.ts';

const plain = PLAIN_SGD;

const sgd: PlainRule = ({ momentum, nesterov, weightDecay }) => {
  let velocity = 0;
  return (parameter, gradient, rate) => {
    const g = gradient + weightDecay * parameter;
    velocity = momentum * velocity + g;
    return parameter - rate * (nesterov ? g + momentum * velocity : velocity);
  };
};

const adam: PlainRule = ({ name, beta1, beta2, epsilon, weightDecay }) => {
  let m = 0;
  let v = 0;
  return (parameter, gradient, rate, step) => {
    const g = name === 'adam' ? gradient + weightDecay * parameter : gradient;
    const decayed = name === 'adamw' ? parameter * (1 - rate * weightDecay) : parameter;
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    return decayed - (rate * (m / (1 - beta1 ** step))) / (Math.sqrt(v / (1 - beta2 ** step)) + epsilon);
  };
};

optimizerContract('sgd', plain, sgd);
optimizerContract('sgd with weight decay', { ...plain, weightDecay: 0.01 }, sgd);
optimizerContract('sgd with momentum', { ...plain, momentum: 0.9 }, sgd);
optimizerContract('sgd with Nesterov momentum', { ...plain, momentum: 0.9, nesterov: true, weightDecay: 0.01 }, sgd);
optimizerContract('adam', { ...plain, name: 'adam', weightDecay: 0.01 }, adam);
optimizerContract('adamw', { ...plain, name: 'adamw', weightDecay: 0.1 }, adam);

describe('an update rule', () => {
  test('works in float32 at every operation, where float64 in between would give other bits', () => {
    const f = Math.fround;
    const rate = f(0.7);
    const decay = f(0.3);
    const random = uniformFloats(5);
    const parameters = Float32Array.from({ length: 200 }, () => random() - 0.5);
    const gradient = Float32Array.from({ length: 200 }, () => random() - 0.5);
    const inFloat32 = parameters.map((p, i) => f(p - f(rate * f(gradient[i]! + f(decay * p)))));
    const inFloat64 = parameters.map((p, i) => p - rate * (gradient[i]! + decay * p));
    const config = { ...plain, weightDecay: 0.3 };
    createOptimizer(config).apply(parameters, gradient, [], updateRates(config, 0.7, 1));
    expect(parameters).toEqual(inFloat32);
    expect(inFloat32).not.toEqual(inFloat64);
  });
});
