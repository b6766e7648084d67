import { randomUUID } from 'node:crypto';
import { empty, json, type Reply, type Request, type Route } from '../../http.ts';
import { PythonError, pyFloat } from '../../python/values.ts';
import type { Engine } from '../engine.ts';
import { promptError } from '../prompt-error.ts';
import { isPromptId, queueTuple } from '../queue.ts';
import { validatePrompt } from '../validate.ts';

const SECRETS = new Set(['auth_token_comfy_org', 'api_key_comfy_org']);

/** `/prompt`, `/queue`, `/interrupt`, `/free`. */
export function promptRoutes(engine: Engine): Route[] {
  return [
    { method: 'GET', path: '/prompt', twin: true, handle: () => json(engine.queueInfo()) },
    { method: 'POST', path: '/prompt', twin: true, handle: async (request) => submit(engine, await request.json()) },
    { method: 'GET', path: '/queue', twin: true, handle: () => json(showQueue(engine)) },
    { method: 'POST', path: '/queue', twin: true, handle: (request) => changeQueue(engine, request) },
    { method: 'POST', path: '/interrupt', twin: true, handle: (request) => interrupt(engine, request) },
    { method: 'POST', path: '/free', twin: true, handle: (request) => free(engine, request) },
  ];
}

async function submit(engine: Engine, value: unknown): Promise<Reply> {
  const body = asObject(value);
  engine.log.info('got prompt');
  const number = 'number' in body ? pyFloat(body.number) : engine.nextNumber() * (body.front ? -1 : 1);
  if (!('prompt' in body))
    return json({ error: promptError('no_prompt', 'No prompt provided', 'No prompt provided'), node_errors: {} }, 400);
  const id = body.prompt_id ?? randomUUID();
  if (engine.isSince('0.25.0') && !isPromptId(id)) {
    const details =
      'prompt_id must be a UUID string in canonical lowercase hyphenated form; omit it to let the server generate one';
    return json(
      { error: promptError('invalid_prompt_id', 'prompt_id must be a valid UUID', details), node_errors: {} },
      400,
    );
  }
  const targets = body.partial_execution_targets as readonly string[] | undefined;
  const result = await validatePrompt(body.prompt, targets ?? undefined, engine);
  const { error, nodeErrors: node_errors } = result;
  if (error !== undefined) {
    engine.log.warning(`invalid prompt: ${JSON.stringify(error)}`);
    return json({ error, node_errors }, 400);
  }
  const { graph: prompt, outputs } = result;
  engine.queue.put({ number, id: String(id), prompt, extraData: extraData(engine, body), outputs });
  return json({ prompt_id: id, number, node_errors });
}

function extraData(engine: Engine, body: Record<string, unknown>): Record<string, unknown> {
  const given = body.extra_data === undefined ? {} : asObject(body.extra_data);
  const kept = Object.entries(given).filter(([key]) => !SECRETS.has(key));
  return {
    ...Object.fromEntries(kept),
    ...('client_id' in body && { client_id: body.client_id }),
    ...(engine.isSince('0.3.69') && { create_time: Date.now() }),
  };
}

function showQueue({ queue }: Engine) {
  return {
    queue_running: queue.running === undefined ? [] : [queueTuple(queue.running)],
    queue_pending: queue.pending.map(queueTuple),
  };
}

async function changeQueue({ queue }: Engine, request: Request): Promise<Reply> {
  const body = asObject(await request.json());
  if (body.clear) queue.clear();
  if (Array.isArray(body.delete)) for (const id of body.delete) queue.delete(String(id));
  return empty();
}

async function interrupt({ queue, executor, log }: Engine, request: Request): Promise<Reply> {
  const body = await request.json().catch(() => ({}));
  const id = asObject(body).prompt_id;
  if (!id) {
    log.info('Global interrupt (no prompt_id specified)');
    executor.interrupt();
  } else if (queue.running?.id === id) {
    log.info(`Interrupting prompt ${String(id)}`);
    executor.interrupt();
  } else log.info(`Prompt ${String(id)} is not currently running, skipping interrupt`);
  return empty();
}

async function free(engine: Engine, request: Request): Promise<Reply> {
  const body = asObject(await request.json());
  engine.free(Boolean(body.free_memory));
  return empty();
}

function asObject(value: unknown): Record<string, unknown> {
  if (value === null || typeof value !== 'object') throw new PythonError('AttributeError', 'not a dictionary');
  return value as Record<string, unknown>;
}
