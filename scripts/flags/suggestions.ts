/** "Did you mean": flags as other programs call them. Commander itself suggests flags that are spelt alike. */
import type { Command } from 'commander';

const OUR_NAMES: Readonly<Record<string, string>> = {
  '--lr': '--learning-rate',
  '--eta': '--learning-rate',
  '--batch': '--global-batch',
  '--batch-size': '--global-batch',
  '--bs': '--global-batch',
  '--num-epochs': '--epochs',
  '--wd': '--weight-decay',
  '--l2': '--weight-decay',
  '--optim': '--optimizer',
  '--lr-schedule': '--schedule',
  '--lr-scheduler': '--schedule',
  '--scheduler': '--schedule',
  '--warmup': '--warmup-steps',
  '--max-grad-norm': '--clip-norm',
  '--clip-grad': '--clip-norm',
  '--ema': '--ema-decay',
  '--gradient-accumulation-steps': '--accumulate',
  '--accumulation-steps': '--accumulate',
  '--random-seed': '--seed',
  '--num-workers': '--workers',
  '--nproc': '--workers',
  '--nproc-per-node': '--workers',
  '--np': '--workers',
  '--world-size': '--workers',
  '--val-split': '--validation',
  '--validation-split': '--validation',
  '--data': '--data-dir',
  '--data-path': '--data-dir',
  '--dataset': '--data-dir',
  '--output': '--run-dir',
  '--output-dir': '--run-dir',
  '--out': '--run-dir',
  '--log-dir': '--run-dir',
  '--checkpoint': '--resume',
  '--load': '--resume',
  '--backend': '--engine',
  '--gpu': '--device',
  '--gpus': '--device',
  '--compression': '--wire',
  '--fp16': '--wire',
  '--host': '--listen',
  '--port': '--listen',
  '--master-addr': '--listen',
  '--token': '--token-file',
  '--local-sgd': '--local-steps',
};

/** Our flag for one that other programs have, if there is one. */
export const ourNameOf = (flag: string): string | undefined =>
  Object.hasOwn(OUR_NAMES, flag) ? OUR_NAMES[flag]! : undefined;

/** Has every command below `program` name our flag in the error for a flag of another program, if it has that flag. */
export function suggestFlags(program: Command): void {
  for (const command of program.commands) {
    command.configureOutput({
      outputError(text, write) {
        const given = /unknown option '(--[\w-]+)/.exec(text)?.[1]?.toLowerCase() ?? '';
        const ours = ourNameOf(given);
        const isHere = ours !== undefined && command.options.some(({ long }) => long === ours);
        write(isHere ? `${text.split('\n')[0]!}\n(Did you mean ${ours}?)\n` : text);
      },
    });
    suggestFlags(command);
  }
}
