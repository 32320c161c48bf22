/** What every update rule must do. Run for each rule of the registry, with its own plain formula as the judge. */
import { describe, expect, test } from 'vitest';
import { createOptimizer, updateRates } from '../../protocol/vectors/optimizer.ts';
import type { OptimizerConfig } from '../../protocol/vectors/optimizer.ts';
import { uniformFloats } from '../../protocol/data/random.ts';

/** One parameter's update in float64, as its paper writes it; keeps its own state. */
export type PlainRule = (
  config: OptimizerConfig,
) => (parameter: number, gradient: number, rate: number, step: number) => number;

export function optimizerContract(title: string, config: OptimizerConfig, plainRule: PlainRule): void {
  const length = 37;
  const numSteps = 20;
  const run = () => {
    const random = uniformFloats(3);
    const optimizer = createOptimizer(config);
    const parameters = Float32Array.from({ length }, () => random() - 0.5);
    const initial = parameters.slice();
    const state = Array.from({ length: optimizer.numStateVectors }, () => new Float32Array(length));
    const gradients = Array.from({ length: numSteps }, () => Float32Array.from({ length }, () => random() - 0.5));
    for (const [i, gradient] of gradients.entries()) {
      optimizer.apply(parameters, gradient, state, updateRates(config, 0.05, i + 1));
    }
    return { parameters, initial, gradients, state };
  };

  describe(`the rule ${title}`, () => {
    test('follows its formula to float32 accuracy over many steps', () => {
      const { parameters, initial, gradients } = run();
      for (let i = 0; i < length; i++) {
        const rule = plainRule(config);
        let expected = initial[i]!;
        for (const [step, gradient] of gradients.entries()) expected = rule(expected, gradient[i]!, 0.05, step + 1);
        expect(Math.abs(parameters[i]! - expected)).toBeLessThan(2e-6);
      }
    });

    test('gives the same bits every time', () => {
      expect(run().parameters).toEqual(run().parameters);
    });

    test('treats every entry alike, wherever it stands', () => {
      const optimizer = createOptimizer(config);
      const step = (values: number[]) => {
        const parameters = Float32Array.from(values);
        const state = Array.from({ length: optimizer.numStateVectors }, () => new Float32Array(values.length));
        const gradient = Float32Array.from(values, (value) => value * 3);
        optimizer.apply(parameters, gradient, state, updateRates(config, 0.1, 1));
        return [...parameters];
      };
      expect(step([0.3, -0.2, 0.1])).toEqual([...step([0.3]), ...step([-0.2]), ...step([0.1])]);
    });

    test('leaves the gradient as it was', () => {
      const optimizer = createOptimizer(config);
      const gradient = Float32Array.of(1, -2);
      const state = Array.from({ length: optimizer.numStateVectors }, () => new Float32Array(2));
      optimizer.apply(Float32Array.of(1, 1), gradient, state, updateRates(config, 0.1, 1));
      expect([...gradient]).toEqual([1, -2]);
    });
  });
}
