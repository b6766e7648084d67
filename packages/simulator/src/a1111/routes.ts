import { totalmem } from 'node:os';
import { empty, json, plain, type Reply, type Request, type Route } from '../comfyui/http.ts';
import { enlarge, upscalers } from './extras.ts';
import { extrasFields, img2imgFields, readFields, txt2imgFields } from './fields.ts';
import { samplers, schedulers } from './infotext.ts';
import { commandFlags } from './options.ts';
import type { Webui } from './webui.ts';

/** The routes below `/sdapi/v1`. `kill` ends the process without an answer. */
export function apiRoutes(webui: Webui, { kill, stop }: { kill: () => void; stop: () => void }): Route[] {
  const { progress, settings, options, simulation } = webui;
  const { flavour } = simulation;
  const get = (path: string, handle: (request: Request) => Reply): Route => ({
    method: 'GET',
    path: `/sdapi/v1/${path}`,
    handle,
  });
  const post = (path: string, handle: (request: Request) => Reply | Promise<Reply>): Route => ({
    method: 'POST',
    path: `/sdapi/v1/${path}`,
    handle,
  });
  const locked = (path: string, work: () => void) =>
    post(path, () =>
      webui.lock.hold(async () => {
        work();
        return json(null);
      }),
    );
  return [
    post('txt2img', async (request) =>
      json(await webui.generate('txt2img', readFields(await request.json(), txt2imgFields, flavour))),
    ),
    post('img2img', async (request) =>
      json(await webui.generate('img2img', readFields(await request.json(), img2imgFields, flavour))),
    ),
    post('extra-single-image', async (request) =>
      json(await webui.lock.hold(async () => enlarge(readFields(await request.json(), extrasFields, flavour)))),
    ),
    get('upscalers', () =>
      json(upscalers.map((name) => ({ name, model_name: null, model_path: null, model_url: null, scale: 4 }))),
    ),
    get('progress', ({ query }) => json(progress.report({ image: query.get('skip_current_image') !== 'true' }))),
    post('interrupt', () => {
      progress.interrupted = true;
      return json({});
    }),
    post('skip', () => {
      progress.skipped = true;
      return json(null);
    }),
    get('options', () => json(settings.all)),
    post('options', async (request) => {
      await webui.configure((await request.json()) as Record<string, unknown>);
      return json(null);
    }),
    get('cmd-flags', () => json(commandFlags(options, flavour))),
    get('samplers', () => json(samplers.map((name) => ({ name, aliases: [`k_${name}`], options: {} })))),
    get('schedulers', () => json(schedulers.map((name) => ({ name, label: name, aliases: null })))),
    get('sd-models', () => json(webui.checkpoints)),
    get(flavour === 'forge' ? 'sd-modules' : 'sd-vae', () => json([])),
    locked('refresh-checkpoints', () => webui.refresh()),
    locked('refresh-vae', () => {}),
    locked('refresh-embeddings', () => {}),
    post('unload-checkpoint', () => json({})),
    post('reload-checkpoint', () => json({})),
    get('memory', () => json(memoryOf(webui))),
    ...(options.canBeStopped ? serverRoutes(post, kill, stop) : []),
  ];
}

function serverRoutes(
  post: (path: string, handle: () => Reply) => Route,
  kill: () => void,
  stop: () => void,
): readonly Route[] {
  const dropped = () => {
    kill();
    return empty();
  };
  return [
    post('server-kill', dropped),
    post('server-restart', () => (process.env.SD_WEBUI_RESTART ? dropped() : empty(501))),
    post('server-stop', () => {
      stop();
      return plain(200, 'Stopping.');
    }),
  ];
}

/** What only a web page has. */
export const pageRoutes = (webui: Webui): Route[] => [
  { method: 'GET', path: '/', handle: () => plain(200, '<!doctype html><title>Stable Diffusion</title>') },
  { method: 'GET', path: '/internal/ping', handle: () => json({}) },
  { method: 'GET', path: '/internal/pending-tasks', handle: () => json({ size: webui.lock.size, tasks: [] }) },
];

function memoryOf({ options, simulation }: Webui): object {
  const { rss } = process.memoryUsage();
  const ram = { free: totalmem() - rss, used: rss, total: totalmem() };
  if (options.cpu) return { ram, cuda: { error: 'unavailable' } };
  const total = simulation.gpu.memoryMiB * 2 ** 20;
  const zero = { current: 0, peak: 0 };
  const system = { free: total, used: 0, total };
  return {
    ram,
    cuda: { system, active: zero, allocated: zero, reserved: zero, inactive: zero, events: { retries: 0, oom: 0 } },
  };
}

/** FastAPI's answer to a body that is no JSON. */
export const notJson = (error: SyntaxError): Reply =>
  json({ detail: [{ loc: ['body', 0], msg: error.message, type: 'value_error.jsondecode' }] }, 422);
