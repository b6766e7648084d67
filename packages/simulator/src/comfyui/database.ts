import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { StartError } from '../python/start-error.ts';
import type { Log } from './log.ts';
import type { Options } from './options.ts';
import { isSince } from './version.ts';

/**
 * Locks the file of `--database-url` as 0.17 and later do. If another server has it, that is an error in the log, and
 * for the assets the end: throws StartError.
 */
export async function openDatabase({ databaseFile, assets }: Options, version: string, log: Log): Promise<void> {
  const onlyForAssets = isSince(version, '0.38.0');
  if (databaseFile === undefined || !isSince(version, '0.17.0') || (onlyForAssets && !assets)) return;
  if (await lock(databaseFile)) return;
  if (onlyForAssets) {
    log.error(
      `ASSETS_STARTUP_FAILED: in_use\nAnother ComfyUI is already using this database: '${databaseFile}'.\nStop it, choose another file with --database-url, or start with --disable-assets`,
    );
    throw new StartError('');
  }
  const problem = `Could not acquire lock on database '${databaseFile}'. Another ComfyUI process may already be using it. Use --database-url to specify a separate database file.`;
  if (assets) {
    log.error(`Failed to initialize database: ${problem}\nThe --enable-assets flag requires a working database.`);
    throw new StartError('');
  }
  log.error(`Failed to initialize database. ${problem}`);
}

/**
 * Node has no file locks. A name in Linux's abstract socket namespace is held in the same way: by one process, until it
 * ends, however it ends. Other systems have nothing like it.
 */
async function lock(file: string): Promise<boolean> {
  if (process.platform !== 'linux') return true;
  const name = createHash('sha256').update(file).digest('hex');
  const holder = createServer().unref();
  try {
    await once(holder.listen(`\0mgpu-sim-database-${name}`), 'listening');
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false;
    throw error;
  }
}
