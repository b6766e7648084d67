/** Folder of a helper repository, the words of the program for it, and its variable's beginning. */
const helpers: Readonly<Record<string, string>> = {
  'stable-diffusion-webui-assets': 'ASSETS',
  'stable-diffusion-stability-ai': 'STABLE_DIFFUSION',
  'generative-models': 'STABLE_DIFFUSION_XL',
  'k-diffusion': 'K_DIFFUSION',
  BLIP: 'BLIP',
};

/**
 * Files of a webui checkout whose `launch.py` imports torch, wants its helper repositories at their commits, as the real one
 * does, and then is the simulator: for trying out what installs and starts it. `program`: path of the simulator.
 */
export function a1111CheckoutFiles({
  version,
  program,
  requirements,
}: {
  readonly version: string;
  readonly program: string;
  readonly requirements: readonly string[];
}): Readonly<Record<string, string>> {
  return {
    'launch.py': `import importlib
import json
import os
import subprocess
import sys

folder = os.path.dirname(os.path.abspath(__file__))


def prepare_environment():
    for name in ("torch", "torchvision"):
        importlib.import_module(name)
    if "--skip-torch-cuda-test" not in sys.argv and not importlib.import_module("torch").cuda.is_available():
        raise RuntimeError("Torch is not able to use GPU; add --skip-torch-cuda-test to COMMANDLINE_ARGS variable to disable this check")
    for name, variable in json.loads(${JSON.stringify(JSON.stringify(helpers))}).items():
        place = os.path.join(folder, "repositories", name)
        wanted = os.environ.get(variable + "_COMMIT_HASH", "unknown")
        found = subprocess.run(["git", "-C", place, "rev-parse", "HEAD"], capture_output=True, text=True)
        if found.stdout.strip() != wanted:
            raise RuntimeError(f"Couldn't clone {name}.\\nstderr: {found.stderr}")
    if "--exit" in sys.argv:
        print("Exiting because of --exit argument")
        sys.exit(0)


if "--skip-prepare-environment" not in sys.argv:
    prepare_environment()
simulation = {"version": ${JSON.stringify(version)}, **json.loads(os.environ.get("MGPU_SIM_A1111") or "{}")}
os.environ["MGPU_SIM_A1111"] = json.dumps(simulation)
node = ${JSON.stringify(process.execPath)}
os.execv(node, [node, ${JSON.stringify(program)}, os.path.abspath(__file__), *sys.argv[1:]])
`,
    'webui.py': '',
    'requirements_versions.txt': `${requirements.join('\n')}\n`,
    '.gitignore': '__pycache__/\n/repositories\n/models\n',
  };
}
