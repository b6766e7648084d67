import { describe, expect, test } from 'vitest';
import { nginxSchema } from './config.ts';
import { type NginxPlan, render } from './render.ts';
import { planRoutes } from './routes.ts';

const endpoint = (kind: string, gpu: number, url: string) => ({
  instance: `${kind}_gpu${gpu}`,
  kind,
  gpu,
  url: new URL(url),
});

function planOf(
  settings: unknown,
  endpoints: Parameters<typeof planRoutes>[1],
  more: Partial<NginxPlan> = {},
): NginxPlan {
  const config = nginxSchema.parse(settings);
  const routes = planRoutes(config, endpoints);
  const paths = { folder: '/srv/mgpu/nginx', statusSocket: '/srv/mgpu/run/nginx-status.sock' };
  return { ...config, ...paths, generation: 'generation-1', routes, ...more };
}

const golden = (name: string) => `../test/golden/${name}.conf`;

describe('render', () => {
  test('two GPUs of one kind', async () => {
    const endpoints = [0, 1].map((gpu) => endpoint('comfyui', gpu, `http://127.0.0.1:${8188 + gpu}`));
    await expect(render(planOf({}, endpoints))).toMatchFileSnapshot(golden('two-gpus'));
  });

  test('two kinds on IPv6 with users, as root', async () => {
    const endpoints = [endpoint('comfyui', 3, 'http://[::1]:8191'), endpoint('my-engine', 0, 'http://localhost:7000')];
    const settings = {
      host: '::',
      port: 80,
      accessLog: true,
      maxUploadMiB: 0,
      upstreams: { 'my-engine': { path: '/engines/mine/' }, a1111: { basePort: 2101 } },
    };
    const more = { usersFile: '/tmp/mgpu-nginx-0/users', workersAs: { user: 'www-data', group: 'www-data' } };
    await expect(render(planOf(settings, endpoints, more))).toMatchFileSnapshot(golden('two-kinds-with-users'));
  });

  test('nothing to proxy', async () => {
    await expect(render(planOf({}, []))).toMatchFileSnapshot(golden('nothing'));
  });

  test.each([
    ['a quote', '/srv/a"b', 'pid "/srv/a\\"b/nginx.pid";'],
    ['a backslash', '/srv/a\\b', 'pid "/srv/a\\\\b/nginx.pid";'],
    ['words of a directive', '/srv/a; user root; {', 'pid "/srv/a; user root; {/nginx.pid";'],
  ])('%s in a path stays part of the path', (_, folder, line) => {
    expect(render(planOf({}, [], { folder })).split('\n')).toContain(line);
  });

  test.each(['/srv/a$b', '/srv/a\nb'])('a path that nginx cannot be told is refused: %j', (folder) => {
    const refused = expect.objectContaining({ code: 'NGINX_VALUE_REFUSED' });
    expect(() => render(planOf({}, [], { folder }))).toThrow(refused);
  });
});

describe('planRoutes', () => {
  const plan = (settings: unknown, ...endpoints: Parameters<typeof planRoutes>[1]) =>
    planRoutes(nginxSchema.parse(settings), endpoints);
  const refused = expect.objectContaining({ code: 'NGINX_VALUE_REFUSED' });

  test('orders by GPU and leaves out kinds that are off, unknown or absent', () => {
    const endpoints = [
      endpoint('comfyui', 1, 'http://127.0.0.1:8189'),
      endpoint('comfyui', 0, 'http://127.0.0.1:8188'),
      endpoint('a1111', 0, 'http://127.0.0.1:3001'),
      { instance: 'redis', kind: 'redis', url: new URL('unix:///run/redis.sock') },
    ];
    const settings = { upstreams: { a1111: { enabled: false }, ollama: { path: '/ollama/' } } };
    expect(plan(settings, ...endpoints)).toEqual([
      {
        kind: 'comfyui',
        path: '/comfyui/',
        targets: [
          { gpu: 0, address: '127.0.0.1:8188', port: 3188 },
          { gpu: 1, address: '127.0.0.1:8189', port: 3189 },
        ],
      },
    ]);
  });

  test.each(['https://127.0.0.1:8188', 'http://engine.example:8188', 'unix:///run/comfyui.sock'])(
    'an endpoint no proxy can be made for is refused: %s',
    (url) => {
      expect(() => plan({}, endpoint('comfyui', 0, url))).toThrow(refused);
    },
  );

  test('a port or a GPU that is used twice is refused', () => {
    const [first, second] = [
      endpoint('comfyui', 0, 'http://127.0.0.1:1'),
      endpoint('comfyui', 0, 'http://127.0.0.1:2'),
    ];
    expect(() => plan({}, first, second)).toThrow(refused);
    expect(() => plan({ port: 3188 }, first)).toThrow(refused);
    expect(() => plan({ upstreams: { comfyui: { basePort: 65_535 } } }, { ...first, gpu: 1 })).toThrow(refused);
  });
});

describe('the schema', () => {
  test.each([
    ['host', { host: 'example.com; user root' }],
    ['port', { port: 0 }],
    ['upstreams', { upstreams: { 'Comfy;': { path: '/x/' } } }],
    ['upstreams', { upstreams: { comfyui: { path: '/x y/' } } }],
    ['user', { user: 'root; daemon on' }],
  ])('refuses what could break out of a directive: %s', (key, settings) => {
    const { error } = nginxSchema.safeParse(settings);
    expect(error?.issues[0]?.path[0]).toBe(key);
  });
});
