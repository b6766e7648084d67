import { type HttpExpectation, httpProbe, type Probe, portHolder } from '@mgpu/core';
import { z } from 'zod';
import { A1111ForeignProcessError } from './errors.ts';

/** The cheapest answer that only the API gives: the page is there before it, and a port says nothing at all. */
export const probePath = 'sdapi/v1/cmd-flags';

const flagsSchema = z.object({ data_dir: z.string(), port: z.number().nullable() });

/**
 * Asks for the flags it was started with and believes only a process that has our data folder. The wait ends with
 * `A1111_FOREIGN_PROCESS` when another one is on the port.
 */
export function ownProcessProbe(options: { instance: string; url: URL; dataDir: string }): Probe {
  const { instance, url, dataDir } = options;
  const port = Number(url.port || '80');
  const expect: HttpExpectation = ({ status, body }) => {
    if (status !== 200) return `status ${status}`;
    const flags = readFlags(body);
    if (!flags) return 'the answer is not that of an Automatic1111';
    if (flags.data_dir === dataDir) return true;
    return new A1111ForeignProcessError({ instance, url: url.href, dataDir: flags.data_dir, ...portHolder(port) });
  };
  return httpProbe(new URL(probePath, url), { expect });
}

function readFlags(body: string): z.output<typeof flagsSchema> | undefined {
  try {
    return flagsSchema.parse(JSON.parse(body));
  } catch {
    return undefined; // not JSON, or something else's JSON: the caller says so
  }
}
