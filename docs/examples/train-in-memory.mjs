/** Trains a model of its own on samples that it makes in memory: does a bright bar lie, or does it stand? */
import { train } from 'gradsock';

const SIZE = 8;

/** [count, 1, 8, 8] pixels from 0 to 255, and a label for each image. */
function makeSamples(count) {
  const images = new Uint8Array(count * SIZE * SIZE).map(() => Math.random() * 80);
  const labels = Uint8Array.from({ length: count }, (_, i) => i % 2);
  for (const [i, label] of labels.entries()) {
    const place = Math.floor(Math.random() * SIZE);
    for (let step = 0; step < SIZE; step++) {
      const [row, column] = label === 0 ? [place, step] : [step, place];
      images[i * SIZE * SIZE + row * SIZE + column] = 255;
    }
  }
  return { images, labels };
}

const { result, model } = await train({
  model: {
    name: 'bars',
    input: [1, SIZE, SIZE],
    numClasses: 2,
    layers: [
      { kind: 'conv', filters: 4, kernel: 3, activation: 'relu' },
      { kind: 'maxPool', size: 2 },
      { kind: 'flatten' },
      { kind: 'dense', units: 2, activation: 'none' },
    ],
  },
  data: {
    name: 'bars',
    shape: [1, SIZE, SIZE],
    classes: ['lying', 'standing'],
    train: makeSamples(1024),
    test: makeSamples(256),
  },
  epochs: 8,
  globalBatch: 32,
  optimizer: 'adam',
  learningRate: 0.01,
  onEpoch: ({ epoch, loss, testAccuracy }) => {
    console.log(`epoch ${epoch}: loss ${loss.toFixed(3)}, test accuracy ${testAccuracy.toFixed(3)}`);
  },
});

console.log(`${result.status} after ${result.steps} steps`);
const { images, labels } = makeSamples(4);
for (const [i, { className, probabilities }] of (await model.predict(images)).entries()) {
  const truth = model.classes[labels[i]];
  console.log(`it is ${truth}, and looks ${className} (${Math.max(...probabilities).toFixed(3)})`);
}
await model.dispose();
