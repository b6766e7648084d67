import { freemem, totalmem } from 'node:os';
import type { Engine } from './engine.ts';
import { deviceName, torchVersion } from './torch.ts';

const PACKAGES = [
  ['comfyui-frontend-package', '1.45.19'],
  ['comfyui-workflow-templates', '0.10.3'],
  ['comfyui-embedded-docs', '0.5.2'],
] as const;
const PYTHON = '3.12.7 (main, Oct  9 2025, 07:35:25) [GCC 12.2.0]';

/** The body of `GET /system_stats`. */
export function systemStats(engine: Engine) {
  const { options, simulation } = engine;
  const [frontend, templates] = PACKAGES.map(([, version]) => version);
  return {
    system: {
      os: engine.isSince('0.4.0') ? 'linux' : 'posix',
      ram_total: totalmem(),
      ram_free: freemem(),
      comfyui_version: simulation.version,
      required_frontend_version: frontend,
      installed_templates_version: templates,
      required_templates_version: templates,
      ...(engine.isSince('0.19.0') && {
        comfy_package_versions: PACKAGES.map(([name, version]) => ({ name, installed: version, required: version })),
      }),
      python_version: PYTHON,
      pytorch_version: torchVersion(options),
      embedded_python: false,
      ...(engine.isSince('0.25.0') && { deploy_environment: 'local-git' }),
      argv: options.argv,
    },
    devices: [device(engine)],
  };
}

function device({ options, simulation }: Engine) {
  const name = deviceName(options, simulation);
  if (options.cpu) {
    const [total, free] = [totalmem(), freemem()];
    return {
      name,
      type: 'cpu',
      index: null,
      vram_total: total,
      vram_free: free,
      torch_vram_total: total,
      torch_vram_free: free,
    };
  }
  const total = simulation.gpu.memoryMiB * 1024 * 1024;
  return {
    name,
    type: 'cuda',
    index: 0,
    vram_total: total,
    vram_free: Math.round(total * 0.95),
    torch_vram_total: 0,
    torch_vram_free: 0,
  };
}
