/**
 * The manifests of deploy/kubernetes: each is what the API server would accept, by the schemas and the types of
 * kubernetes-models, in which a field that is written wrong is an error too. No cluster is at hand: nothing is applied.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Job } from 'kubernetes-models/batch/v1';
import { PersistentVolumeClaim, Service } from 'kubernetes-models/v1';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { createProgram } from '../../scripts/program.ts';
import { temporaryFolder } from '../helpers/folder.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDER = join(ROOT, 'deploy/kubernetes');

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: unknown;
}

const container = z.looseObject({
  name: z.string(),
  image: z.string().optional(),
  command: z.array(z.string()).default([]),
  args: z.array(z.string()).default([]),
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })),
  securityContext: z.unknown(),
});
const jobSpec = z.looseObject({
  template: z.looseObject({
    spec: z.looseObject({
      securityContext: z.unknown(),
      containers: z.array(container).length(1),
      volumes: z.array(z.looseObject({ name: z.string() })),
    }),
  }),
});
const policies = {
  network: z.strictObject({
    enableDNSHostnames: z.boolean().optional(),
    publishNotReadyAddresses: z.boolean().optional(),
    subdomain: z.string().optional(),
  }),
  failurePolicy: z.strictObject({ maxRestarts: z.int() }),
};
const jobSetSchema = z.strictObject({
  ...policies,
  successPolicy: z.strictObject({ operator: z.enum(['All', 'Any']), targetReplicatedJobs: z.array(z.string()) }),
  replicatedJobs: z.array(
    z.strictObject({ name: z.string(), replicas: z.int(), template: z.strictObject({ spec: jobSpec }) }),
  ),
});
const runtimeSchema = z.strictObject({
  mlPolicy: z.strictObject({ numNodes: z.int(), torch: z.strictObject({ numProcPerNode: z.int() }) }),
  template: z.strictObject({
    spec: z.strictObject({
      ...policies,
      replicatedJobs: z.array(
        z.strictObject({
          name: z.literal('node'),
          template: z.strictObject({
            metadata: z.strictObject({
              labels: z.strictObject({ 'trainer.kubeflow.org/trainjob-ancestor-step': z.literal('trainer') }),
            }),
            spec: jobSpec,
          }),
        }),
      ),
    }),
  }),
});
const trainJobSchema = z.strictObject({
  runtimeRef: z.strictObject({ apiGroup: z.string(), kind: z.literal('TrainingRuntime'), name: z.string() }),
  trainer: z.strictObject({
    numNodes: z.int(),
    command: z.array(z.string()),
    args: z.array(z.string()),
    resourcesPerNode: z.strictObject({
      requests: z.record(z.string(), z.string()),
      limits: z.record(z.string(), z.string()),
    }),
  }),
});
const kustomization = z.strictObject({
  apiVersion: z.literal('kustomize.config.k8s.io/v1beta1'),
  kind: z.literal('Kustomization'),
  resources: z.array(z.string()),
  patches: z.array(z.strictObject({ path: z.string() })).default([]),
  secretGenerator: z.array(z.strictObject({ name: z.string(), files: z.array(z.string()) })).default([]),
  generatorOptions: z.strictObject({ disableNameSuffixHash: z.boolean() }).optional(),
  images: z.array(z.strictObject({ name: z.string(), newName: z.string(), newTag: z.string() })).default([]),
  labels: z.array(z.strictObject({ pairs: z.record(z.string(), z.string()) })).default([]),
});

const read = (path: string): unknown => parse(readFileSync(path, 'utf8'));

/** What kustomize would make of a folder, but for names of images and labels. */
function build(folder: string): Manifest[] {
  const { resources, patches } = kustomization.parse(read(join(folder, 'kustomization.yaml')));
  const manifests = resources.flatMap((path) =>
    path.endsWith('.yaml') ? [read(join(folder, path)) as Manifest] : build(join(folder, path)),
  );
  for (const { path } of patches) {
    const patch = read(join(folder, path)) as Manifest;
    const at = manifests.findIndex(
      ({ kind, metadata }) => kind === patch.kind && metadata.name === patch.metadata.name,
    );
    expect(at, `${path} patches what is there`).not.toBe(-1);
    manifests[at] = merged(manifests[at], patch) as Manifest;
  }
  return manifests;
}

/** As a strategic merge does: items of lists belong together by their names. */
function merged(base: unknown, patch: unknown): unknown {
  if (Array.isArray(base) && Array.isArray(patch) && patch.every(hasName)) {
    const added = patch.filter(({ name }) => !base.some((item) => hasName(item) && item.name === name));
    return [
      ...base.map((item) => merged(item, patch.find(({ name }) => hasName(item) && item.name === name) ?? item)),
      ...added,
    ];
  }
  if (!isRecord(base) || !isRecord(patch)) return patch;
  return {
    ...base,
    ...Object.fromEntries(Object.entries(patch).map(([key, value]) => [key, merged(base[key], value)])),
  };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const hasName = (value: unknown): value is { name: string } => isRecord(value) && typeof value.name === 'string';

/** The Jobs of a manifest, whole; of a JobSet and a runtime those that they would make. */
function jobsOf({ kind, metadata, spec }: Manifest): Manifest[] {
  const asJob = (name: string, of: unknown): Manifest => ({
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name },
    spec: of,
  });
  switch (kind) {
    case 'Job':
      return [asJob(metadata.name, spec)];
    case 'JobSet':
      return jobSetSchema.parse(spec).replicatedJobs.map(({ name, template }) => asJob(name, template.spec));
    case 'TrainingRuntime':
      return runtimeSchema
        .parse(spec)
        .template.spec.replicatedJobs.map(({ name, template }) => asJob(name, template.spec));
    default:
      return [];
  }
}

const FOLDERS = ['base', 'overlays/gpu', 'overlays/one-node', 'jobset', 'trainjob'];
const built = new Map(FOLDERS.map((folder) => [folder, build(join(FOLDER, folder))]));
const manifests = [...built.values()].flat();
const jobs = manifests.flatMap(jobsOf);

describe('manifests', () => {
  test('are what the schemas of Kubernetes demand', () => {
    const models = { Job, Service, PersistentVolumeClaim };
    const known = [...jobs, ...manifests].filter(({ kind }) => kind in models);
    expect(known.length).toBeGreaterThan(10);
    for (const manifest of known) {
      const Model = models[manifest.kind as keyof typeof models] as new (data: object) => { validate(): void };
      expect(() => new Model(manifest).validate(), `${manifest.kind} ${manifest.metadata.name}`).not.toThrow();
    }
    for (const { kind, spec } of manifests) if (kind === 'TrainJob') trainJobSchema.parse(spec);
    for (const [folder, made] of built)
      expect(new Set(made.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).size, folder).toBe(made.length);
  });

  test('have no field that Kubernetes does not know', () => {
    const types: Record<string, string> = { Job: 'batch/v1', Service: 'v1', PersistentVolumeClaim: 'v1' };
    const known = [...jobs, ...manifests].filter(({ kind }) => kind in types);
    const lines = known.map(
      (manifest, index) =>
        `const m${index}: import('kubernetes-models/${types[manifest.kind]!}').I${manifest.kind} = ${JSON.stringify(manifest)};`,
    );
    const misspelt = lines[0]!.replace('m0', 'misspelt').replace('"parallelism"', '"paralelism"');
    expect(typeErrors([...lines, misspelt].join('\n'))).toEqual([
      expect.stringContaining(`'"paralelism"' does not exist in type`),
    ]);
  }, 60_000);

  test('run without rights: not as root, with nothing to write to but volumes', () => {
    for (const job of jobs) {
      const pod = jobSpec.parse(job.spec).template.spec;
      expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
      const [only] = pod.containers;
      expect(only!.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      const mounted = only!.volumeMounts.map(({ name }) => name).sort();
      expect(mounted).toEqual(pod.volumes.map(({ name }) => name).sort());
      expect(only!.volumeMounts.map(({ mountPath }) => mountPath)).toEqual(
        expect.arrayContaining(['/cache', '/tmp', '/token']),
      );
    }
  });

  test('start commands of this program, with flags that it has', async () => {
    const trainJobs = manifests
      .filter(({ kind }) => kind === 'TrainJob')
      .map(({ spec }) => trainJobSchema.parse(spec).trainer);
    const containers = jobs.map(({ spec }) => jobSpec.parse(spec).template.spec.containers[0]!);
    const commandLines = [...trainJobs, ...containers].flatMap(({ command, args }) => {
      const text = args.join(' ');
      // A script of the shell: the words of its last command, and those that it sets before.
      if (command.includes('sh'))
        return [...text.matchAll(/(?:set -- ?|exec gradsock )(--[^;"]*|coordinator [^;"]*)/g)].map(([, words]) =>
          words!.trim().split(/\s+/),
        );
      return args.length === 0 ? [] : [args];
    });
    expect(commandLines.length).toBeGreaterThan(5);
    for (const words of commandLines) {
      const name = words[0]!.startsWith('--') ? 'coordinator' : words[0]!;
      const { commands } = await createProgram([name]);
      const command = commands.find((candidate) => candidate.name() === name)!;
      const flags = words.filter((word) => word.startsWith('--'));
      expect(
        command.parseOptions(flags.map((word) => (word.includes('=') ? word : `${word}=1`))).unknown,
        words.join(' '),
      ).toEqual([]);
    }
  });

  test('of one Job: index 0 has the name by which the others look for it, and its success is that of the run', () => {
    const [service, , job] = built.get('base')! as [Manifest, Manifest, Manifest];
    expect(job).toMatchObject({
      metadata: { name: 'gradsock' },
      spec: {
        completionMode: 'Indexed',
        successPolicy: { rules: [{ succeededIndexes: '0' }] },
        template: { spec: { subdomain: service.metadata.name, restartPolicy: 'Never' } },
      },
    });
    const { completions, parallelism } = job.spec as { completions: number; parallelism: number };
    expect(completions).toBe(parallelism);
    const { args } = jobSpec.parse(job.spec).template.spec.containers[0]!;
    expect(args).toEqual(expect.arrayContaining([`--service=${service.metadata.name}`, `--workers=${completions}`]));
    expect(service.spec).toMatchObject({ clusterIP: 'None', publishNotReadyAddresses: true, ports: [{ port: 7878 }] });
  });

  test.each(FOLDERS)('in %s are merged by kustomize itself, where kubectl is there', (folder) => {
    const copy = join(temporaryFolder(), 'kubernetes');
    cpSync(FOLDER, copy, { recursive: true });
    for (const place of ['base', 'jobset', 'trainjob']) writeFileSync(join(copy, place, 'token'), 'a-token');
    const { status, stdout, stderr, error } = spawnSync('kubectl', ['kustomize', join(copy, folder)], {
      encoding: 'utf8',
    });
    if (error) {
      process.stderr.write('skipped: kustomize: kubectl is missing\n');
      return;
    }
    expect(status, stderr).toBe(0);
    const made = stdout.split(/^---$/m).map((text) => parse(text) as Manifest);
    const kinds = (of: readonly Manifest[]) => of.map(({ kind }) => kind).filter((kind) => kind !== 'Secret');
    expect(kinds(made).sort()).toEqual(kinds(built.get(folder)!).sort());
    for (const manifest of made.flatMap(jobsOf)) new Job(manifest as never).validate();
  });

  test('hold no token: it is made by the user, and ignored by git', () => {
    for (const folder of FOLDERS) {
      const { secretGenerator } = kustomization.parse(read(join(FOLDER, folder, 'kustomization.yaml')));
      for (const { files } of secretGenerator)
        for (const file of files) expect(existsSync(join(FOLDER, folder, file))).toBe(false);
    }
    expect(readFileSync(join(ROOT, '.gitignore'), 'utf8')).toContain('deploy/kubernetes/*/token');
  });
});

/** What TypeScript says of a text, beside the packages of this project. */
function typeErrors(text: string): string[] {
  const name = join(ROOT, 'manifests.virtual.ts');
  const options: ts.CompilerOptions = {
    noEmit: true,
    strict: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const [getSourceFile, fileExists] = [host.getSourceFile.bind(host), host.fileExists.bind(host)];
  host.fileExists = (path) => path === name || fileExists(path);
  host.getSourceFile = (path, ...rest) =>
    path === name ? ts.createSourceFile(path, text, ts.ScriptTarget.ES2022) : getSourceFile(path, ...rest);
  const program = ts.createProgram([name], options, host);
  return program
    .getSemanticDiagnostics(program.getSourceFile(name))
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}
