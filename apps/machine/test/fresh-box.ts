import { join } from 'node:path';
import { commitFiles, torchWheels, writeWheels } from '@mgpu/core/testing';
import { comfyuiCheckout } from '@mgpu/simulator';
import { type Box, openBox } from './support.ts';

export interface FreshBox extends Box {
  /** A commit of a version; `broken`: how it refuses to start as an instance. */
  release(version: string, broken?: string): Promise<string>;
  /** Another box from the same repository and wheels, with nothing in it. */
  sibling(): Promise<FreshBox>;
}

/** A box whose ComfyUI comes from a repository and wheels: its own, or those in a folder that is there. */
export async function openFreshBox(folder?: string): Promise<FreshBox> {
  const box = await openBox(
    (_, own) => {
      const dir = folder ?? own;
      const packages = { wheels: [join(dir, 'wheels')], offline: true };
      const torch = { index: 'packages' };
      return {
        comfyui: { setup: { repository: join(dir, 'ComfyUI'), ref: 'main', installer: 'pip', packages, torch } },
      };
    },
    { gpu: { mode: 'cpu', count: 2 } },
  );
  const home = folder ?? box.dir;
  if (folder === undefined) await writeWheels(join(home, 'wheels'), torchWheels());
  const release = (version: string, broken?: string) => {
    const files = comfyuiCheckout({ version });
    const main = broken
      ? `import sys\nif "--listen" in sys.argv and not "/verification/" in " ".join(sys.argv):\n    sys.exit("${broken}")\n`
      : '';
    return commitFiles(join(home, 'ComfyUI'), { ...files, 'main.py': main + files['main.py'] }, { message: version });
  };
  return Object.assign(box, { release, sibling: () => openFreshBox(home) });
}
