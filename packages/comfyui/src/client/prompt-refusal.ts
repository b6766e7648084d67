import type { MgpuError } from '@mgpu/core/jobs';
import type { z } from 'zod';
import { ComfyUIPromptInvalidError } from '../errors.ts';
import { refusalSchema } from './answers.ts';
import type { PromptGraph } from './types.ts';

interface NodeProblem {
  readonly message?: unknown;
  readonly details?: unknown;
  readonly extra_info?: { readonly input_name?: unknown };
}

/** Lists of options in `input_config` can be megabytes; an error travels through queues and logs. */
const maxDetailBytes = 64 * 1024;

/** The engine's answer to a workflow it does not accept, as one error that names node, class and input. */
export function promptRefusal(body: string, prompt: PromptGraph): MgpuError | undefined {
  let parsed: ReturnType<typeof refusalSchema.safeParse>;
  try {
    parsed = refusalSchema.safeParse(JSON.parse(body));
  } catch {
    return undefined; // not ComfyUI's own refusal
  }
  if (!parsed.success) return undefined;
  const { error, node_errors } = parsed.data;
  const ofNodes = describeNodeErrors(node_errors);
  const problems = ofNodes.length > 0 ? ofNodes : [describeError(error, prompt)];
  return new ComfyUIPromptInvalidError({ error, nodeErrors: bounded(node_errors), problems });
}

/** One clause for each problem: `node 3 (SaveImage), input "images": Required input is missing`. */
export function describeNodeErrors(nodeErrors: unknown): string[] {
  return Object.entries((nodeErrors ?? {}) as Record<string, { class_type?: unknown; errors?: NodeProblem[] }>).flatMap(
    ([id, { class_type, errors }]) =>
      (Array.isArray(errors) ? errors : []).map(({ message, details, extra_info }) => {
        const input = typeof extra_info?.input_name === 'string' ? extra_info.input_name : undefined;
        const more =
          typeof details === 'string' && details !== '' && details !== input ? ` (${details.slice(0, 300)})` : '';
        const where = input === undefined ? '' : `, input "${input}"`;
        return `node ${id} (${String(class_type)})${where}: ${String(message)}${more}`;
      }),
  );
}

function describeError(error: z.output<typeof refusalSchema>['error'], prompt: PromptGraph): string {
  if (typeof error === 'string') return error;
  const { message, details = '', extra_info } = error;
  const text = message || 'no reason given';
  // Up to 0.11 the node is named in the text alone: `Node ID '#3'`.
  const id = extra_info?.node_id ?? /#(\w+)/.exec(details)?.[1];
  if (id === undefined) return text;
  return `node ${id} (${extra_info?.class_type ?? prompt[id]?.class_type}): ${text}`;
}

function bounded(nodeErrors: unknown): unknown {
  if (JSON.stringify(nodeErrors ?? {}).length <= maxDetailBytes) return nodeErrors;
  const slim = JSON.stringify(nodeErrors, (key, value: unknown) => (key === 'input_config' ? undefined : value));
  return slim.length <= maxDetailBytes ? JSON.parse(slim) : `${slim.slice(0, maxDetailBytes)}…`;
}
