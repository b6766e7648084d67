import { pathToFileURL } from 'node:url';
import { resolve } from 'import-meta-resolve';
import type { AnyServiceDefinition } from '../definition/define-service.ts';
import { PluginError } from '../errors/core-errors.ts';
import { reportError } from '../errors/mgpu-error.ts';

/**
 * The definitions that the named packages export. A package is looked up as `import` would from each of the folders in
 * turn, then from mgpu itself. Throws `CORE_PLUGIN`.
 */
export async function loadPlugins(
  names: readonly string[],
  folders: readonly string[],
): Promise<AnyServiceDefinition[]> {
  const bases = [...folders.map((folder) => pathToFileURL(`${folder}/`).href), import.meta.url];
  const loaded = await Promise.all(
    names.map(async (name) => {
      let exported: Record<string, unknown>;
      try {
        exported = (await import(find(name, bases))) as Record<string, unknown>;
      } catch (cause) {
        throw new PluginError({ name, problem: reportError(cause).message }, { cause });
      }
      const found = Object.values(exported).filter(isDefinition);
      if (found.length === 0) throw new PluginError({ name, problem: 'it exports no service definition' });
      return found;
    }),
  );
  return loaded.flat();
}

/** URL of the package's entry, from the first base that has the package. */
function find(name: string, bases: readonly string[]): string {
  let missing: unknown;
  for (const base of bases) {
    try {
      return resolve(name, base);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
      missing ??= error;
    }
  }
  throw missing;
}

function isDefinition(value: unknown): value is AnyServiceDefinition {
  return typeof value === 'object' && value !== null && 'api' in value && 'kind' in value && 'create' in value;
}
