/** The program: its subcommands, and the rules that hold for all of them. */
import { Command, CommanderError } from 'commander';
import { readVariablesOf } from './flags/environment.ts';
import { fitHelp } from './flags/narrow-help.ts';
import { suggestFlags } from './flags/suggestions.ts';
import { EXIT, packageVersion, reportFailure } from './process.ts';

interface Entry {
  readonly description: string;
  /** Only the command that is called is loaded: the program starts in half the time. */
  readonly load: () => Promise<Command>;
}

const COMMANDS: Readonly<Record<string, Entry>> = {
  train: {
    description: 'train with a coordinator and local worker processes',
    load: async () => (await import('./commands/train.ts')).trainCommand(),
  },
  baseline: {
    description: 'train in this process alone: the single-node baseline',
    load: async () => (await import('./commands/baseline.ts')).baselineCommand(),
  },
  coordinator: {
    description: 'wait for workers on this or other machines, then train with them',
    load: async () => (await import('./commands/coordinator.ts')).coordinatorCommand(),
  },
  worker: {
    description: 'join a run and compute gradients for it; on a terminal it asks for a missing token',
    load: async () => (await import('./commands/worker.ts')).workerCommand(),
  },
  doctor: {
    description: 'say what is in the way of a worker before it joins: network, TLS, token, versions, engine, data',
    load: async () => (await import('./commands/doctor.ts')).doctorCommand(),
  },
  launch: {
    description: 'train with workers on other hosts, started there over ssh',
    load: async () => (await import('./commands/launch.ts')).launchCommand(),
  },
  rank: {
    description: 'be one process of a job that torchrun, Slurm, mpirun, Kubernetes or Kubeflow has started',
    load: async () => (await import('./commands/rank.ts')).rankCommand(),
  },
  data: {
    description: 'what a run can train on: describe, verify or fetch a dataset',
    load: async () => (await import('./commands/data.ts')).dataCommand(),
  },
  predict: {
    description: 'say what a model sees in images, with probabilities',
    load: async () => (await import('./commands/predict.ts')).predictCommand(),
  },
  evaluate: {
    description: 'say how well a model does: by class, which classes it confuses, where it is most wrong',
    load: async () => (await import('./commands/evaluate.ts')).evaluateCommand(),
  },
  export: {
    description: 'write a model for other programs, with a model card: ONNX, TensorFlow.js, PyTorch, safetensors',
    load: async () => (await import('./commands/export.ts')).exportCommand(),
  },
  runs: {
    description: 'list the runs of a folder, or say what differs between two',
    load: async () => (await import('./commands/runs.ts')).runsCommand(),
  },
  show: {
    description: 'show the runs of a folder in a browser, finished and running ones, and compare them',
    load: async () => (await import('./commands/show.ts')).showCommand(),
  },
  report: {
    description: "make a run's report.html again, or one of several runs side by side",
    load: async () => (await import('./commands/report.ts')).reportCommand(),
  },
  engines: {
    description: 'list, probe and time the engines of this machine, and say which one --engine auto takes',
    load: async () => (await import('./commands/engines.ts')).enginesCommand(),
  },
  scale: {
    description: 'measure how much faster more workers train, and predict still more',
    load: async () => (await import('./commands/scale.ts')).scaleCommand(),
  },
  sweep: {
    description: 'search for the best flags of a run, with several runs side by side',
    load: async () => (await import('./commands/sweep.ts')).sweepCommand(),
  },
};

/** Does what the arguments ask for. A failure is a sentence on stderr and an exit code; only a fault of ours is thrown. */
export async function runProgram(words: readonly string[]): Promise<void> {
  try {
    const program = await createProgram(words);
    await program.parseAsync(words, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      reportFailure(error);
      return;
    }
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
  }
}

/**
 * Parsing it carries out the command that the arguments name; usage errors are thrown, as `CommanderError`.
 *
 * `words`: the arguments. A command that is not among them has its name and its description, and no flags. Default: all
 * commands are whole.
 */
export async function createProgram(words: readonly string[] = Object.keys(COMMANDS)): Promise<Command> {
  const program = new Command('gradsock')
    .description('Trains neural networks by synchronous data parallelism over WebSockets.')
    .version(packageVersion());
  for (const [name, { description, load }] of Object.entries(COMMANDS)) {
    const command = words.includes(name) ? await load() : new Command(name);
    program.addCommand(command.description(description));
  }
  readVariablesOf(program);
  throwUsageErrors(program);
  suggestFlags(program);
  fitHelp(program);
  return program;
}

/** For one place to give them their exit code. */
function throwUsageErrors(command: Command): void {
  command.exitOverride();
  for (const subcommand of command.commands) throwUsageErrors(subcommand);
}
