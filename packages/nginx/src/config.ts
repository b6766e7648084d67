import { isAbsolute } from 'node:path';
import { z } from 'zod';

const port = z.number().int().min(1).max(65_535);
const path = z.string().regex(/^\/(?:[A-Za-z0-9][A-Za-z0-9_-]*\/)+$/, 'must look like /comfyui/');
const kindName = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;

const shape = {
  enabled: z.boolean().default(true).describe('Whether engines of this kind are reachable through nginx'),
  basePort: port.optional().describe('The engine on GPU n gets the port base + n; without it there are no such ports'),
  path: path.describe('Path of the main port below which all engines of this kind are balanced; GPU n is <path>n/'),
};

/** How the engines of one kind are reached. */
const upstreamSchema = z.strictObject({
  ...shape,
  path: shape.path.optional().describe('As for the known kinds; without it /<kind>/'),
});

const known = (basePort: number, at: string) =>
  z.strictObject({ ...shape, basePort: shape.basePort.default(basePort), path: shape.path.default(at) }).prefault({});

/** Configuration of `services.nginx`. */
export const nginxSchema = z
  .strictObject({
    enabled: z.boolean().default(true).describe('Whether there is a proxy in front of the engines'),
    program: z.string().min(1).optional().describe('Path of nginx; without it nginx is looked up in PATH'),
    host: z
      .union([z.ipv4(), z.ipv6(), z.literal('localhost')])
      .default('127.0.0.1')
      .describe('Address all ports listen on; anything but loopback needs authFile, credentials or insecure'),
    port: port.default(8080).describe('The main port: /<kind>/ balanced, /<kind>/<gpu>/ one by one'),
    upstreams: z
      .strictObject({ comfyui: known(3188, '/comfyui/'), a1111: known(2001, '/a1111/') })
      .catchall(upstreamSchema)
      .refine((all) => Object.keys(all).every((kind) => kindName.test(kind)), 'keys are kinds of services')
      .prefault({})
      .describe('By kind of engine: its ports and its path'),
    authFile: z
      .string()
      .min(1)
      .optional()
      .describe(
        'htpasswd file with the users that may come in; read at every start (and reload, a call of the library)',
      ),
    credentials: z
      .string()
      .min(1)
      .optional()
      .describe('Users in place, `user:password` or `user:hash` a line; a lone password belongs to the user "sd"'),
    insecure: z.boolean().default(false).describe('Allows other hosts in without any password'),
    user: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_.-]*$/)
      .optional()
      .describe(
        'Account of the workers when started as root; without it nginx, www-data or nobody, the first there is',
      ),
    workers: z.number().int().min(1).max(64).default(2).describe('Worker processes'),
    maxUploadMiB: z.number().int().nonnegative().default(1024).describe('Largest request body in MiB; 0 is no limit'),
    timeoutMs: z
      .number()
      .int()
      .positive()
      .default(86_400_000)
      .describe('Milliseconds a client, an engine or a websocket may be silent before it is cut'),
    drainMs: z
      .number()
      .int()
      .positive()
      .default(5_000)
      .describe('Milliseconds open connections (websockets are always open) have to finish at a stop or reload'),
    accessLog: z.boolean().default(false).describe('Whether requests are logged, to nginx/logs/access.log'),
    include: z
      .array(z.string().min(1))
      .default([])
      .describe('Files of your own that are read inside `http`, `*` for names; relative paths are below `repository`'),
    repository: z
      .strictObject({
        url: z
          .string()
          .min(1)
          .refine(
            (url) => !hasSecret(url),
            'it has a secret in it, which would be for others to see: see services.git-access',
          )
          .describe('An https, ssh or file URL, or a path'),
        ref: z.string().min(1).optional().describe('Branch, tag or commit; default its default branch'),
      })
      .optional()
      .describe(
        'Git repository with configuration of your own, brought up to date at each start; `include` says which files',
      ),
  })
  .refine(({ include, repository }) => repository !== undefined || include.every((each) => isAbsolute(each)), {
    path: ['include'],
    message: 'a relative path means nothing without a repository',
  });

/** A token before the host gets onto Git's command line and into the checkout's configuration. */
function hasSecret(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, username, password } = new URL(url);
  return password !== '' || (username !== '' && protocol.startsWith('http'));
}

/** Defaults filled in. */
export type NginxConfig = z.output<typeof nginxSchema>;
