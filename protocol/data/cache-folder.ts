/** The folder in which this program keeps what can be fetched or made again. */
import { join } from 'node:path';
import { homeFolder } from '../home-folder.ts';

/** `$XDG_CACHE_HOME/gradsock`, by default `~/.cache/gradsock`; undefined for a user with neither variable nor home folder. */
export function userCacheFolder(): string | undefined {
  const { XDG_CACHE_HOME: base } = process.env;
  const home = homeFolder();
  const caches = base !== undefined && base !== '' ? base : home === undefined ? undefined : join(home, '.cache');
  return caches === undefined ? undefined : join(caches, 'gradsock');
}
