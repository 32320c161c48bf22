/**
 * The three runs of the homework report, to compare with: the same models on the same data, 30 epochs.
 *
 * Source: the homework report: MXNet Gluon, one GPU, Fashion-MNIST, 30 epochs; batch size, learning rate and optimizer are not stated in it.
 * The figures are those of `docs/results/data/homework/homework.json`, which a test compares with these.
 */
import type { RunConfig } from '../run-config.ts';
import type { ReferenceCurves } from './run-view.ts';

/** Of each epoch, from the first: mean loss in training in nats, accuracy in training, accuracy on the test samples. */
type Curves = Omit<ReferenceCurves, 'name'>;

const HOMEWORK: Readonly<Record<string, Curves>> = {
  dense: {
    loss: [
      0.518, 0.3936, 0.3531, 0.3308, 0.3125, 0.298, 0.2843, 0.2739, 0.2618, 0.2534, 0.2433, 0.2422, 0.2314, 0.2231,
      0.217, 0.2126, 0.2096, 0.2027, 0.2, 0.1955, 0.1904, 0.1874, 0.1861, 0.1789, 0.1769, 0.1717, 0.1693, 0.1658,
      0.1629, 0.1607,
    ],
    trainAccuracy: [
      0.823, 0.861, 0.873, 0.881, 0.887, 0.893, 0.898, 0.9, 0.904, 0.907, 0.911, 0.912, 0.916, 0.918, 0.92, 0.922,
      0.923, 0.925, 0.927, 0.928, 0.93, 0.932, 0.932, 0.935, 0.936, 0.937, 0.939, 0.939, 0.941, 0.941,
    ],
    testAccuracy: [
      0.858, 0.868, 0.872, 0.881, 0.881, 0.877, 0.886, 0.883, 0.888, 0.882, 0.889, 0.888, 0.893, 0.893, 0.895, 0.898,
      0.889, 0.892, 0.895, 0.893, 0.894, 0.896, 0.893, 0.897, 0.89, 0.894, 0.899, 0.897, 0.897, 0.899,
    ],
  },
  conv: {
    loss: [
      0.4769, 0.3161, 0.2626, 0.2268, 0.1968, 0.1699, 0.1479, 0.1279, 0.113, 0.1017, 0.0874, 0.0796, 0.0711, 0.0661,
      0.0578, 0.0561, 0.0504, 0.0468, 0.0415, 0.0419, 0.0373, 0.0367, 0.0319, 0.0322, 0.0334, 0.0288, 0.0277, 0.0273,
      0.0275, 0.0263,
    ],
    trainAccuracy: [
      0.838, 0.887, 0.907, 0.918, 0.93, 0.939, 0.948, 0.955, 0.96, 0.965, 0.971, 0.973, 0.976, 0.978, 0.98, 0.981,
      0.983, 0.985, 0.986, 0.987, 0.988, 0.988, 0.989, 0.989, 0.99, 0.991, 0.992, 0.991, 0.991, 0.992,
    ],
    testAccuracy: [
      0.871, 0.896, 0.898, 0.905, 0.904, 0.915, 0.906, 0.913, 0.914, 0.909, 0.914, 0.914, 0.91, 0.914, 0.915, 0.905,
      0.911, 0.912, 0.915, 0.914, 0.907, 0.912, 0.913, 0.912, 0.914, 0.909, 0.913, 0.911, 0.912, 0.908,
    ],
  },
  'conv-pool': {
    loss: [
      0.4855, 0.352, 0.315, 0.2916, 0.2766, 0.2619, 0.2497, 0.2406, 0.2316, 0.2255, 0.2163, 0.2106, 0.2056, 0.199,
      0.1956, 0.189, 0.1833, 0.1813, 0.1765, 0.1729, 0.1679, 0.1639, 0.1618, 0.1562, 0.1524, 0.1503, 0.1481, 0.1459,
      0.142, 0.1404,
    ],
    trainAccuracy: [
      0.835, 0.875, 0.888, 0.894, 0.899, 0.905, 0.909, 0.912, 0.915, 0.919, 0.92, 0.922, 0.925, 0.926, 0.928, 0.93,
      0.933, 0.934, 0.935, 0.936, 0.938, 0.938, 0.941, 0.942, 0.944, 0.944, 0.945, 0.946, 0.948, 0.948,
    ],
    testAccuracy: [
      0.864, 0.868, 0.896, 0.898, 0.897, 0.898, 0.902, 0.9, 0.904, 0.911, 0.904, 0.909, 0.901, 0.91, 0.905, 0.913,
      0.907, 0.911, 0.908, 0.909, 0.906, 0.908, 0.911, 0.906, 0.913, 0.908, 0.913, 0.91, 0.913, 0.917,
    ],
  },
};

/** The curves of the homework report for a run of one of its models on Fashion-MNIST; undefined for other runs. */
export function referenceOf({ model, dataset }: Pick<RunConfig, 'model' | 'dataset'>): ReferenceCurves | undefined {
  // Records of older versions name no data: there was Fashion-MNIST alone.
  if ((dataset?.name ?? 'fashion-mnist') !== 'fashion-mnist') return undefined;
  const curves = HOMEWORK[model.name];
  return curves && { name: 'homework report', ...curves };
}
