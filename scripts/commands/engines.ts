/** `gradsock engines`: what this machine can compute with, put to the proof, and why not the rest. */
import { Command } from 'commander';
import { describeError } from '../../protocol/errors.ts';
import { initialBuffers, initialParameters, planModel } from '../../protocol/state/model-spec.ts';
import { createEngine, ENGINE_NAMES } from '../../worker/engines/registry.ts';
import { flag, loadModel } from '../flags.ts';

export function enginesCommand(): Command {
  return new Command('engines')
    .description('list the engines, probed on this machine, and what --engine auto takes')
    .addOption(flag('--model <name>', 'the model to probe them with').default('conv-pool'))
    .action(async ({ model }: { model: string }) => {
      const line = (text: string) => process.stdout.write(`${text}\n`);
      for (const name of ENGINE_NAMES) line(`${name.padEnd(10)} ${await stateOf(name, model)}`);
      line(`auto       takes ${await stateOf('auto', model)}`);
    });
}

/** One engine in a few words: where it runs and that it passed the probe, or why it cannot be used. */
async function stateOf(choice: string, model: string): Promise<string> {
  const plan = planModel(loadModel(model));
  const parameters = initialParameters(plan, 1);
  try {
    const options = { plan, parameters, buffers: initialBuffers(plan), maxBatch: 256, threads: 1 };
    const { engine, passedOver } = await createEngine(choice, options);
    await engine.dispose();
    const judgement = engine.name === 'reference' ? 'the judge, plain and slow' : 'computes right';
    return `${choice === 'auto' ? `${engine.name} on ` : ''}${engine.device}: ${judgement}${passedOver.map((reason) => `; not ${reason}`).join('')}`;
  } catch (error) {
    return `not usable: ${describeError(error)}`;
  }
}
