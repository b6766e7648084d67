import { type HttpExpectation, httpProbe, type Probe, portHolder } from '@mgpu/core';
import { ComfyUIForeignProcessError } from './errors.ts';
import { readSystem, tooOld } from './system-answer.ts';

/**
 * Asks `/system_stats` and believes only a process that was started with our port and our output folder. The wait ends with
 * `COMFYUI_FOREIGN_PROCESS` when another ComfyUI is on the port, and with `COMFYUI_TOO_OLD`.
 */
export function ownProcessProbe(options: { instance: string; url: URL; outputDir: string }): Probe {
  const { instance, url, outputDir } = options;
  const port = url.port || '80'; // left out of a URL that has the default one
  const expect: HttpExpectation = ({ status, body }) => {
    if (status !== 200) return `status ${status}`;
    const system = readSystem(body);
    if (!system) return 'the answer is not that of a ComfyUI';
    const { argv } = system;
    if (!argv.includes(port) || !argv.includes(outputDir)) {
      return new ComfyUIForeignProcessError({ instance, url: url.href, argv, ...portHolder(Number(port)) });
    }
    return tooOld(system, instance) ?? true;
  };
  return httpProbe(new URL('system_stats', url), { expect });
}
