import { z } from 'zod';
import { packageSourcesSchema } from './package-sources.ts';

/** A package as in a requirements file, without markers; never what an installer takes for an option. */
export const requirementSchema = z
  .string()
  .regex(/^\w[\w.-]*(\[[\w,.-]+\])?\s*([<>=!~]=?[^\s;]+)?$/, 'a package, with a version if you like');

/** Keys of a service's configuration that say how an environment's packages are installed. */
export const installerFields = {
  installer: z
    .enum(['auto', 'uv', 'pip'])
    .default('auto')
    .describe('What installs packages; `auto`: uv where it is in PATH, else pip'),
  packages: packageSourcesSchema.prefault({}).describe('Where packages come from'),
};

/** Keys of a service's configuration that say which torch it gets; its default depends on the engine. */
export const torchFields = (requirements: string[]) => ({
  requirements: z
    .array(requirementSchema)
    .min(1)
    .default(requirements)
    .describe('The torch family, installed from one index'),
  index: z
    .union([z.literal(['auto', 'packages']), z.url({ protocol: /^(https?|file)$/ })])
    .default('auto')
    .describe('URL of its index; `auto`: what fits the driver, or the CPU; `packages`: as every other package'),
});
