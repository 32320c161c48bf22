/** The model file: what is written is read back, and what is no model is refused. */
import { expect, test } from 'vitest';
import { initialiseFrom } from '../../../protocol/state/initialise.ts';
import { decodeModelFile, encodeModelFile } from '../../../protocol/state/model-file.ts';
import { planModel } from '../../../protocol/state/model-spec.ts';
import { createReplica } from '../../../protocol/state/replica.ts';
import { encodeSafetensors, namedTensors } from '../../../protocol/state/safetensors.ts';
import { TINY_MODEL } from '../../helpers/cluster.ts';
import { PLAIN_SGD } from '../../helpers/optimizers.ts';

const plan = planModel(TINY_MODEL);
const replica = createReplica(plan, PLAIN_SGD, 5);
const dataset = { name: 'mine', sha256: 'ab'.repeat(32), classes: Array.from({ length: 10 }, (_, i) => `class ${i}`) };

test('a model is read back as it was written, with what it says of itself', () => {
  const model = decodeModelFile(encodeModelFile(replica, { dataset, epoch: 3, accuracy: 0.25 }), 'it');
  expect(model.parameters).toEqual(replica.parameters);
  expect(model.buffers).toEqual(replica.buffers);
  expect(model.plan).toEqual(plan);
  expect(model.classes).toEqual(dataset.classes);
  expect(model).toMatchObject({ step: 0, epoch: 3, accuracy: 0.25, dataset: { name: 'mine', sha256: dataset.sha256 } });
});

test('of a run with averages of the weights the averages are the model', () => {
  const averaging = createReplica(plan, { ...PLAIN_SGD, emaDecay: 0.5 }, 5);
  averaging.averages!.parameters.fill(3);
  expect(decodeModelFile(encodeModelFile(averaging), 'it').parameters).toEqual(averaging.averages!.parameters);
});

test('a file of version 0.1.0 has numbers for classes', () => {
  const tensors = namedTensors(plan, replica.parameters, replica.buffers);
  const old = encodeSafetensors(tensors, { format: 'gradsock', model: JSON.stringify(plan.spec), step: '9' });
  expect(decodeModelFile(old, 'it')).toMatchObject({
    step: 9,
    classes: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
  });
});

test.each<[string, Record<string, string>, number, string]>([
  ['no model', {}, 0, 'expected a model of this program, with its ModelSpec in the metadata'],
  ['a model that is none', { model: '{"name": 3}' }, 0, 'expected a model of this program'],
  ['a model in no JSON', { model: '{' }, 0, 'expected a model of this program'],
  ['a tensor too few', { model: JSON.stringify(plan.spec) }, 1, 'expected the tensor'],
])('a safetensors file with %s is refused', (_, metadata, numMissing, message) => {
  const tensors = namedTensors(plan, replica.parameters, replica.buffers).slice(numMissing);
  expect(() => decodeModelFile(encodeSafetensors(tensors, metadata), 'it')).toThrow(`it: ${message}`);
});

test('averages of the weights begin with the numbers that a replica was initialised with', () => {
  const averaging = createReplica(plan, { ...PLAIN_SGD, emaDecay: 0.5 }, 6);
  const { taken, fresh } = initialiseFrom(averaging, decodeModelFile(encodeModelFile(replica), 'it'));
  expect(fresh).toEqual([]);
  expect(taken.length).toBe(plan.parameters.length + plan.buffers.length);
  expect(averaging.parameters).toEqual(replica.parameters);
  expect(averaging.averages).toEqual({ parameters: replica.parameters, buffers: replica.buffers });
});
