import { type HttpExpectation, httpProbe, type Probe, portHolder } from '@mgpu/core';
import { z } from 'zod';
import { ComfyUIForeignProcessError } from './errors.ts';

const statsSchema = z.object({ system: z.object({ argv: z.array(z.string()) }) });

/**
 * Asks `/system_stats` and believes only a process that was started with our port and our output folder; another
 * ComfyUI on the port ends the wait with `COMFYUI_FOREIGN_PROCESS`.
 */
export function ownProcessProbe(options: { instance: string; url: URL; outputDir: string }): Probe {
  const { instance, url, outputDir } = options;
  const expect: HttpExpectation = ({ status, body }) => {
    if (status !== 200) return `status ${status}`;
    const argv = readArgv(body);
    if (!argv) return 'the answer is not that of a ComfyUI';
    if (argv.includes(url.port) && argv.includes(outputDir)) return true;
    return new ComfyUIForeignProcessError({ instance, url: url.href, argv, ...portHolder(Number(url.port)) });
  };
  return httpProbe(new URL('system_stats', url), { expect });
}

function readArgv(body: string): readonly string[] | undefined {
  try {
    return statsSchema.parse(JSON.parse(body)).system.argv;
  } catch {
    return undefined; // not JSON, or something else's JSON: the caller says so
  }
}
