/** A registry for npm on loopback, which has the packages that lie in this checkout's node_modules, and no others. */
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { readInstalled } from '../../scripts/launch/install/installed-packages.ts';
import type { InstalledPackage } from '../../scripts/launch/install/installed-packages.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Registry {
  readonly url: string;
  /** Archives that were fetched so far. */
  readonly numFetched: () => number;
  readonly close: () => void;
}

/** All that the program needs, without itself. */
export function neededPackages(): readonly InstalledPackage[] {
  const root = readInstalled(ROOT, []);
  const found = new Set<InstalledPackage>();
  const visit = (one: InstalledPackage) => {
    for (const needed of one.needs.values()) {
      if (found.has(needed)) continue;
      found.add(needed);
      visit(needed);
    }
  };
  visit(root);
  return [...found];
}

export async function startRegistry(): Promise<Registry> {
  const packages = neededPackages();
  let numFetched = 0;
  const archives = new Map<string, Buffer>();
  const server = createServer(({ url = '' }, response) => {
    const path = decodeURIComponent(url).slice(1);
    const [, folder] = /^archives\/(\d+)\.tgz$/.exec(path) ?? [];
    if (folder !== undefined) {
      numFetched++;
      const archive = archives.get(folder) ?? archiveOf(packages[Number(folder)]!.folder);
      archives.set(folder, archive);
      response.end(archive);
      return;
    }
    const versions = packages.filter(({ manifest }) => manifest.name === path);
    if (versions.length === 0) {
      response.writeHead(404).end('{}');
      return;
    }
    const entries = versions.map((one) => {
      const tarball = `${address()}/archives/${packages.indexOf(one)}.tgz`;
      return [one.manifest.version, { ...one.manifest, dist: { tarball } }] as const;
    });
    const body = { name: path, 'dist-tags': { latest: entries[0]![0] }, versions: Object.fromEntries(entries) };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  const address = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: address(),
    numFetched: () => numFetched,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** As npm packs it, all in the folder "package". */
function archiveOf(folder: string): Buffer {
  const args = ['-czf', '-', '--exclude=./node_modules', '--transform=s,^\\.,package,', '.'];
  return execFileSync('tar', args, { cwd: folder, maxBuffer: 2 ** 27 });
}
