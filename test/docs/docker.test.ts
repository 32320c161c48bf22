/** The files in deploy/docker against the program: every path, flag and stage that they name exists. No container is run. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { createProgram } from '../../scripts/program.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDER = join(ROOT, 'deploy/docker');
const read = (name: string): string => readFileSync(join(FOLDER, name), 'utf8');

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly command: readonly string[];
  readonly volumes: readonly string[];
  readonly secrets: readonly string[];
  readonly depends_on?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
  readonly volumes: Readonly<Record<string, null>>;
}

const compose = parse(read('compose.yaml')) as Compose;
/** Instructions of the Dockerfile, one a line, without comments. */
const instructions = read('Dockerfile')
  .replaceAll(/^#.*\n/gm, '')
  .replaceAll('\\\n', ' ')
  .split('\n')
  .filter(Boolean);
const argumentsOf = (name: string): string[] =>
  instructions.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1));

describe('compose.yaml', () => {
  test.each(Object.entries(compose.services))(
    '%s: its command and flags are those of the program',
    async (_, service) => {
      const [name, ...words] = service.command;
      const program = await createProgram([name!]);
      const flags = program.commands.find((command) => command.name() === name)!.options.map(({ long }) => long);
      for (const word of words) if (word.startsWith('--')) expect(flags).toContain(word.split('=')[0]);
    },
  );

  test.each(Object.entries(compose.services))(
    '%s: what it refers to is declared, and is in the image',
    (_, service) => {
      for (const secret of service.secrets) expect(compose.secrets).toHaveProperty(secret);
      expect(service.command).toContain(`--token-file=/run/secrets/${service.secrets[0]!}`);
      for (const other of service.depends_on ?? []) expect(compose.services).toHaveProperty(other);
      const [owned] = argumentsOf('RUN').flatMap((line) => /install -d -o 10001 -g 10001 (.*)$/.exec(line)?.[1] ?? []);
      for (const volume of service.volumes) {
        const [, name, path] = /^(?:\$\{\w+:-)?(\w+)\}?:(\/.*)$/.exec(volume)!;
        expect(compose.volumes).toHaveProperty(name!);
        expect(owned!.split(' ')).toContain(path);
      }
      if (service.build) expect(existsSync(join(FOLDER, service.build.context, service.build.dockerfile))).toBe(true);
    },
  );

  test('workers join where the coordinator listens, and its health is asked for there', () => {
    const { coordinator, worker } = compose.services;
    expect(coordinator!.command).toContain('--listen=0.0.0.0:7878');
    expect(worker!.command).toContain('ws://coordinator:7878');
    expect(coordinator!.healthcheck!.test.at(-1)).toContain('http://127.0.0.1:7878/healthz');
    expect(argumentsOf('EXPOSE')).toEqual(['7878']);
  });

  test('has no token in it: the file is made by the user, and git leaves it alone', () => {
    expect(compose.secrets).toEqual({ token: { file: './token' } });
    expect(read('.gitignore').split('\n')).toContain('token');
    expect(read('Dockerfile.dockerignore').split('\n')).toContain('*');
  });
});

describe('the Dockerfile', () => {
  test('copies what is there and is not ignored, from stages that exist', () => {
    const kept = new Set(
      read('Dockerfile.dockerignore')
        .split('\n')
        .filter((line) => line.startsWith('!'))
        .map((line) => line.slice(1)),
    );
    for (const path of kept) expect(existsSync(join(ROOT, path)), path).toBe(true);
    const stages = argumentsOf('FROM').flatMap((line) => / AS (\w+)$/.exec(line)?.[1] ?? []);
    for (const line of argumentsOf('COPY')) {
      const from = /^--from=(\w+) /.exec(line)?.[1];
      if (from !== undefined) expect(stages).toContain(from);
      else for (const path of line.split(' ').slice(0, -1)) if (path !== '.') expect([...kept]).toContain(path);
    }
    // All that the package has is in the context of the build.
    const { files } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { files: string[] };
    for (const file of files)
      if (!/^!|^dist$/.test(file)) {
        const [top, below] = file.split('/') as [string, string?];
        expect(
          [top, `${top}/${below ?? ''}`].some((path) => kept.has(path)),
          file,
        ).toBe(true);
      }
  });

  test('runs the program as a user with a number, by tini, and builds the native engine where it is found', () => {
    expect(argumentsOf('USER')).toEqual(['10001:10001']);
    expect(argumentsOf('ENTRYPOINT')).toEqual(['["tini", "--", "gradsock"]']);
    expect(read('Dockerfile')).toContain('node node_modules/gradsock/dist/scripts/build-native.js');
    expect(existsSync(join(ROOT, 'scripts/build-native.ts'))).toBe(true);
    const last = instructions.slice(instructions.findLastIndex((line) => line.startsWith('FROM ')));
    expect(last.join('\n')).not.toMatch(/g\+\+|clang/);
  });
});
