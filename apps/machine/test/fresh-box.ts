import { join } from 'node:path';
import { commitFiles, torchWheels, writeWheels } from '@mgpu/core/testing';
import { comfyuiCheckout } from '@mgpu/simulator';
import { type Box, openBox } from './support.ts';

/** A box whose ComfyUI comes from a repository and wheels of its own. */
export async function openFreshBox(): Promise<Box & { release(version: string, broken?: string): Promise<string> }> {
  const box = await openBox(
    (_, dir) => ({
      comfyui: {
        setup: {
          repository: join(dir, 'ComfyUI'),
          ref: 'main',
          installer: 'pip',
          packages: { wheels: [join(dir, 'wheels')], offline: true },
          torch: { index: 'packages' },
        },
      },
    }),
    { gpu: { mode: 'cpu', count: 2 } },
  );
  await writeWheels(join(box.dir, 'wheels'), torchWheels());
  const release = (version: string, broken?: string) => {
    const files = comfyuiCheckout({ version });
    const main = broken
      ? `import sys\nif "--listen" in sys.argv and not "/verification/" in " ".join(sys.argv):\n    sys.exit("${broken}")\n`
      : '';
    return commitFiles(
      join(box.dir, 'ComfyUI'),
      { ...files, 'main.py': main + files['main.py'] },
      { message: version },
    );
  };
  return Object.assign(box, { release });
}
