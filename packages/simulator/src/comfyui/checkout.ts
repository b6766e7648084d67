/**
 * Files of a ComfyUI checkout whose `main.py` imports torch as the real one does and then is the simulator: for trying out
 * what installs, updates and starts ComfyUI. `program`: path of the simulator.
 */
export function checkoutFiles({
  version,
  program,
  requirements = ['torch', 'torchvision', 'torchaudio'],
}: {
  readonly version: string;
  readonly program: string;
  readonly requirements?: readonly string[];
}): Readonly<Record<string, string>> {
  return {
    'main.py': `import importlib
import json
import os
import sys

from comfyui_version import __version__

for name in ("torch", "torchvision", "torchaudio"):
    importlib.import_module(name)

simulation = {"version": __version__, **json.loads(os.environ.get("MGPU_SIM") or "{}")}
os.environ["MGPU_SIM"] = json.dumps(simulation)
node = ${JSON.stringify(process.execPath)}
os.execv(node, [node, ${JSON.stringify(program)}, os.path.abspath(__file__), *sys.argv[1:]])
`,
    'comfyui_version.py': `__version__ = ${JSON.stringify(version)}\n`,
    'requirements.txt': `${requirements.join('\n')}\n`,
    'custom_nodes/README.md': 'custom nodes go here\n',
    '.gitignore': '__pycache__/\n/custom_nodes/*\n!/custom_nodes/README.md\n',
  };
}
