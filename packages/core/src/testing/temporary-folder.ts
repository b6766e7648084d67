import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A new folder, `mgpu-test-<name>…` among the system's temporary ones, removed with its content when disposed. */
export function temporaryFolder(name = ''): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), `mgpu-test-${name}`));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
