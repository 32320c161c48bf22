/**
 * The datasets that a run can name: who publishes them, what their files are, and how they are read. Sums are of the
 * files as they are published; Fashion-MNIST, whose files are published in several compressions, has a module of its own
 * (`fashion-mnist.ts`).
 */
import { CIFAR10_CLASSES } from './readers/cifar10.ts';

export interface PublishedFile {
  readonly name: string;
  /** Tried in turn. */
  readonly urls: readonly string[];
  readonly sha256: string;
  readonly numBytes: number;
}

export interface KnownDataset {
  readonly name: string;
  /** What it is, in a few words, and where it comes from. */
  readonly about: string;
  readonly shape: readonly [number, number, number];
  readonly classes: readonly string[];
  readonly numTrainSamples: number;
  readonly files: readonly PublishedFile[];
  /** How its files are read, once they are unpacked. */
  readonly form:
    | { readonly kind: 'idx'; readonly prefix?: string; readonly firstLabel?: number; readonly isTransposed?: boolean }
    | { readonly kind: 'cifar10' };
}

const DIGITS = Array.from({ length: 10 }, (_, digit) => String(digit));
const LETTERS = Array.from({ length: 26 }, (_, index) => String.fromCharCode(65 + index));

type FileSums = readonly (readonly [name: string, numBytes: number, sha256: string])[];

function filesAt(bases: readonly string[], files: FileSums): PublishedFile[] {
  return files.map(([name, numBytes, sha256]) => ({ name, urls: bases.map((base) => base + name), numBytes, sha256 }));
}

export const KNOWN_DATASETS: readonly KnownDataset[] = [
  /** LeCun, Cortes and Burges, The MNIST database of handwritten digits, 1998. */
  {
    name: 'mnist',
    about: 'handwritten digits',
    shape: [1, 28, 28],
    classes: DIGITS,
    numTrainSamples: 60_000,
    form: { kind: 'idx' },
    files: filesAt(
      ['https://storage.googleapis.com/cvdf-datasets/mnist/', 'https://ossci-datasets.s3.amazonaws.com/mnist/'],
      [
        ['train-images-idx3-ubyte.gz', 9_912_422, '440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609'],
        ['train-labels-idx1-ubyte.gz', 28_881, '3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c'],
        ['t10k-images-idx3-ubyte.gz', 1_648_877, '8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6'],
        ['t10k-labels-idx1-ubyte.gz', 4542, 'f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6'],
      ],
    ),
  },
  /** Clanuwat et al., Deep learning for classical Japanese literature, 2018. */
  {
    name: 'kmnist',
    about: 'classical Japanese characters',
    shape: [1, 28, 28],
    classes: ['o', 'ki', 'su', 'tsu', 'na', 'ha', 'ma', 'ya', 're', 'wo'],
    numTrainSamples: 60_000,
    form: { kind: 'idx' },
    files: filesAt(
      ['https://codh.rois.ac.jp/kmnist/dataset/kmnist/'],
      [
        ['train-images-idx3-ubyte.gz', 18_165_135, '51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4'],
        ['train-labels-idx1-ubyte.gz', 29_497, 'e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17'],
        ['t10k-images-idx3-ubyte.gz', 3_041_136, 'edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5'],
        ['t10k-labels-idx1-ubyte.gz', 5120, '20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c'],
      ],
    ),
  },
  /** Cohen et al., EMNIST: an extension of MNIST to handwritten letters, 2017. Its images lie on their side. */
  {
    name: 'emnist-letters',
    about: 'handwritten letters',
    shape: [1, 28, 28],
    classes: LETTERS,
    numTrainSamples: 124_800,
    form: { kind: 'idx', prefix: 'emnist-letters-', firstLabel: 1, isTransposed: true },
    files: filesAt(
      ['https://biometrics.nist.gov/cs_links/EMNIST/', 'https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/'],
      [['gzip.zip', 561_753_746, 'fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e']],
    ),
  },
  /** Krizhevsky, Learning multiple layers of features from tiny images, 2009. */
  {
    name: 'cifar10',
    about: 'photographs of animals and vehicles',
    shape: [3, 32, 32],
    classes: CIFAR10_CLASSES,
    numTrainSamples: 50_000,
    form: { kind: 'cifar10' },
    files: filesAt(
      ['https://www.cs.toronto.edu/~kriz/'],
      [['cifar-10-binary.tar.gz', 170_052_171, 'c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd']],
    ),
  },
];

/** The known dataset of a name; undefined for another name. */
export function knownDataset(name: string): KnownDataset | undefined {
  return KNOWN_DATASETS.find((dataset) => dataset.name === name);
}

/** What `--data` can name. */
export const DATASET_NAMES = ['fashion-mnist', ...KNOWN_DATASETS.map(({ name }) => name)] as const;
