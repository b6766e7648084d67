import { basename } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { readLog } from '@mgpu/core';

export interface FailedImport {
  /** Folder or file in the folder of custom nodes. */
  readonly name: string;
  /** As the engine names it: absolute. */
  readonly path: string;
  /** What Python said; undefined when it was not to be found. */
  readonly reason?: string;
}

/**
 * Custom nodes that an engine could not import, as it says at its start (ComfyUI's `nodes.py`). `from`: logical offset in its
 * log where its present run begins.
 */
export async function failedImports(
  logFile: string | undefined,
  { from }: { from?: number } = {},
): Promise<readonly FailedImport[]> {
  if (logFile === undefined) return [];
  const reasons = new Map<string, string>();
  const failed = new Set<string>();
  for await (const { text } of readLog(logFile, { from })) {
    const line = stripVTControlCharacters(text);
    const [, path = '', reason] = /Cannot import (.+?) module for custom nodes: (.*)/.exec(line) ?? [];
    if (reason !== undefined) reasons.set(path, reason);
    const imported = /\((?:IMPORT|PRESTARTUP) FAILED\): (.+)$/.exec(line)?.[1];
    if (imported !== undefined) failed.add(imported.trim());
  }
  return [...failed].map((path) => {
    const reason = reasons.get(path);
    return { name: basename(path), path, ...(reason === undefined ? {} : { reason }) };
  });
}

export const describeFailed = (failed: readonly FailedImport[]): string =>
  failed.map(({ name, reason }) => (reason === undefined ? name : `${name} (${reason})`)).join('; ');
