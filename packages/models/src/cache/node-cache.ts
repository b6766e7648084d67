import { existsSync } from 'node:fs';

/** What a custom node that keeps a cache of models knows of one. */
export interface NodeCacheEntry {
  /** Milliseconds since the epoch. */
  readonly usedMs: number;
  readonly isProtected: boolean;
}

/**
 * Reads the cache of the predecessors' custom node, by file name; empty when there is none. SQLite, table `models` with
 * `filename, last_used (seconds), is_ignore, protected`.
 */
export function readNodeCache(path: string): ReadonlyMap<string, NodeCacheEntry> {
  if (!existsSync(path)) return new Map();
  // An `import` loses its prefix in the build, and without one there is no such module.
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const rows = database.prepare('SELECT filename, last_used, is_ignore, protected FROM models').all();
    return new Map(
      rows.map(({ filename, last_used, is_ignore, protected: kept }) => [
        String(filename),
        { usedMs: Number(last_used ?? 0) * 1_000, isProtected: Boolean(is_ignore) || Boolean(kept) },
      ]),
    );
  } finally {
    database.close();
  }
}
