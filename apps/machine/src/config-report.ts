import type { ConfigReport } from '@mgpu/control';
import { redact } from '@mgpu/core';
import type { Settings } from './settings.ts';

/** The configuration in force as people may see it. */
export function configReport({ config, file, layout }: Settings): ConfigReport {
  return { file: file ?? null, config: redact({ ...config, machine: { ...config.machine, root: layout.root } }) };
}
