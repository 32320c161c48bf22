/**
 * Labels of samples: indices of classes. Those of at most 256 classes have one byte each, those of more classes two, in
 * memory as in the canonical form.
 */

/** [numSamples] indices of classes. Little-endian, as every machine that this program runs on. */
export type Labels = Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;

/** Labels have at most two bytes. */
export const MAX_CLASSES = 65_536;
const MAX_BYTE_CLASSES = 256;

/** Bytes of a label of one of `numClasses` classes. */
export function labelBytesOf(numClasses: number): 1 | 2 {
  return numClasses > MAX_BYTE_CLASSES ? 2 : 1;
}

/** Labels for samples of `numClasses` classes, all of them 0. */
export function createLabels(numSamples: number, numClasses: number): Labels {
  return labelBytesOf(numClasses) === 1 ? new Uint8Array(numSamples) : new Uint16Array(numSamples);
}

/** The bytes of labels: a view. */
export function bytesOfLabels({ buffer, byteOffset, byteLength }: Labels): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** The labels that `bytes` are, of `numClasses` classes: a view, or a copy where two bytes do not lie at an even place. */
export function labelsFromBytes(bytes: Uint8Array<ArrayBuffer>, numClasses: number): Labels {
  if (labelBytesOf(numClasses) === 1) return bytes;
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  return new Uint16Array(buffer, byteOffset, byteLength / 2);
}
