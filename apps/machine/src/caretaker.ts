import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { Layout } from '@mgpu/core';

export interface CaretakerOptions {
  readonly layout: Layout;
  /** Milliseconds. */
  readonly afterMs: number;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Leaves a process behind that ends what this daemon leaves running, unless another daemon goes on with it in time. It is
 * for supervisors that ask for a stop as they do for a restart. What it says is in `logs/daemon.out`.
 */
export async function leaveCaretaker({ layout, afterMs, env }: CaretakerOptions): Promise<void> {
  mkdirSync(layout.logs, { recursive: true });
  const output = openSync(join(layout.logs, 'daemon.out'), 'a', 0o600);
  const seconds = String(Math.ceil(afterMs / 1_000));
  const args = [process.argv[1] ?? '', '--root', layout.root, 'down', '--if-abandoned', seconds];
  try {
    const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', output, output], env });
    await once(child, 'spawn');
    child.unref();
  } finally {
    closeSync(output);
  }
}
