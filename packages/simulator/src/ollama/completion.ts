import { setTimeout } from 'node:timers/promises';
import { answerOf, countTokens } from './answer.ts';
import { ApiError } from './api-error.ts';
import type { Engine } from './engine.ts';
import { type ChatRequest, type GenerateRequest, readKeepAlive } from './requests.ts';

type Line = Record<string, unknown>;

/** What differs between `/api/generate` and `/api/chat`. */
interface Completion {
  readonly request: GenerateRequest | ChatRequest;
  /** Undefined for an empty one, which only loads or unloads. */
  readonly prompt: string | undefined;
  readonly images: number;
  /** The name of the tool that the answer calls. */
  readonly toolCall: string | undefined;
  readonly line: (part: { text?: string; thinking?: string; toolCall?: string }) => Line;
}

export const generate = (engine: Engine, request: GenerateRequest, signal: AbortSignal): AsyncGenerator<Line> =>
  complete(
    engine,
    {
      request,
      prompt: request.prompt === '' ? undefined : `${request.system ?? ''}${request.prompt}`,
      images: request.images?.length ?? 0,
      toolCall: undefined,
      line: ({ text = '', thinking }) => ({ response: text, ...(thinking === undefined ? {} : { thinking }) }),
    },
    signal,
  );

export function chat(engine: Engine, request: ChatRequest, signal: AbortSignal): AsyncGenerator<Line> {
  const last = request.messages.at(-1);
  const line: Completion['line'] = ({ text = '', thinking, toolCall }) => ({
    message: {
      role: 'assistant',
      content: text,
      ...(thinking === undefined ? {} : { thinking }),
      ...(toolCall === undefined ? {} : { tool_calls: [{ function: { name: toolCall, arguments: {} } }] }),
    },
  });
  return complete(
    engine,
    {
      request,
      prompt: last === undefined ? undefined : request.messages.map(({ content }) => content).join('\n'),
      images: request.messages.reduce((sum, { images }) => sum + (images?.length ?? 0), 0),
      // The model calls the tool that somebody names.
      toolCall: request.tools?.map((each) => each.function.name).find((name) => last?.content.includes(name)),
      line,
    },
    signal,
  );
}

async function* complete(engine: Engine, completion: Completion, signal: AbortSignal): AsyncGenerator<Line> {
  const { request, prompt, images, toolCall, line } = completion;
  const { environment, simulation, faults, scheduler } = engine;
  const begun = performance.now();
  const model = engine.modelOf(request.model);
  const keepAliveMs = readKeepAlive(request.keep_alive, environment.keepAliveMs);
  const head = () => ({ model: request.model, created_at: new Date().toISOString() });
  if (prompt === undefined && keepAliveMs === 0) {
    scheduler.unload(model.name);
    return yield { ...head(), ...line({}), done: true, done_reason: 'unload' };
  }
  const { capabilities } = model.config;
  if (!capabilities.includes('completion'))
    throw new ApiError(400, `"${request.model}" does not support ${'messages' in request ? 'chat' : 'generate'}`);
  const isThinking = Boolean(request.think);
  if (isThinking && !capabilities.includes('thinking'))
    throw new ApiError(400, `"${request.model}" does not support thinking`);
  if (images > 0 && !capabilities.includes('vision'))
    throw new ApiError(400, `"${request.model}" does not support image input`);
  using slot = await engine.load(request, keepAliveMs, signal);
  const loadNs = nanoseconds(slot.loadMs);
  if (prompt === undefined) return yield { ...head(), ...line({}), done: true, done_reason: 'load' };

  const limit = Number(request.options?.num_predict ?? 0);
  const { tokens, reason } = answerOf({
    subject: [model.digest, prompt, request.format],
    seed: Number(request.options?.seed ?? simulation.seed),
    tokens: simulation.tokens,
    limit: Number.isInteger(limit) ? limit : undefined,
    asJson: request.format !== undefined && request.format !== '',
  });
  const evaluated = performance.now();
  const spoken = toolCall === undefined ? tokens : [];
  const thoughts = isThinking ? ['Let', ' me', ' see', '.'] : [];
  const parts = [
    ...thoughts.map((thinking) => ({ thinking })),
    ...(toolCall === undefined ? [] : [{ toolCall }]),
    ...spoken.map((text) => ({ text })),
  ];
  for (const [at, part] of parts.entries()) {
    await faults.strikeToken(request, at + 1, signal);
    await setTimeout(simulation.tokenMs * (faults.current.slow?.tokenFactor ?? 1), undefined, { signal });
    yield { ...head(), ...line(part), done: false };
  }
  engine.answered++;
  yield {
    ...head(),
    ...line({}),
    done: true,
    done_reason: reason,
    ...('messages' in request ? {} : { context: [1, 2, 3] }),
    ...withoutZeros({
      total_duration: nanoseconds(performance.now() - begun),
      load_duration: loadNs,
      prompt_eval_count: countTokens(prompt),
      prompt_eval_duration: nanoseconds(evaluated - begun),
      eval_count: parts.length,
      eval_duration: nanoseconds(performance.now() - evaluated),
    }),
  };
}

export const nanoseconds = (ms: number): number => Math.round(ms * 1e6);

/** Go leaves out what is zero. */
export const withoutZeros = (numbers: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== 0));

/** The one object that `stream: false` gives for all the lines of a completion. */
export function collapse(lines: readonly Line[]): Line {
  const last = lines.at(-1) ?? {};
  const texts = (key: string, of: (line: Line) => Line | undefined) =>
    lines.map((line) => of(line)?.[key] ?? '').join('');
  if (!('message' in last)) return 'response' in last ? { ...last, response: texts('response', (line) => line) } : last;
  const messageOf = (line: Line) => line.message as Line | undefined;
  const calls = lines.flatMap((line) => (messageOf(line)?.tool_calls as unknown[] | undefined) ?? []);
  const thinking = texts('thinking', messageOf);
  return {
    ...last,
    message: {
      role: 'assistant',
      content: texts('content', messageOf),
      ...(thinking === '' ? {} : { thinking }),
      ...(calls.length === 0 ? {} : { tool_calls: calls }),
    },
  };
}
