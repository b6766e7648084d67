import { z } from 'zod';

/** Configuration under `services.comfyui-remote`. */
export const remoteComfyUISchema = z
  .strictObject({
    enabled: z.boolean().default(false).describe('Whether workers feed a ComfyUI that runs elsewhere'),
    host: z
      .string()
      .regex(/^[A-Za-z0-9.-]+$|^[0-9A-Fa-f:]+$/, 'must be a host name or an address')
      .optional()
      .describe('Where it runs'),
    port: z.number().int().min(1).max(65_535).default(8188).describe('Its port, or that of the proxy in front of it'),
    secure: z.boolean().default(false).describe('Whether it is asked over https'),
    username: z.string().min(1).optional().describe('For a proxy that wants a password'),
    password: z.string().optional(),
    checkIntervalMs: z
      .number()
      .int()
      .positive()
      .default(5_000)
      .describe('Milliseconds between two looks at whether it answers'),
  })
  .refine(({ enabled, host }) => !enabled || host !== undefined, { path: ['host'], message: 'is needed' });

/** Defaults filled in. */
export type RemoteComfyUIConfig = Omit<ReturnType<typeof remoteComfyUISchema.parse>, 'enabled'>;
