import { PythonError } from '../python/values.ts';
import type { Prompt } from './graph.ts';
import type { Log } from './log.ts';
import type { NodeClass } from './nodes/node.ts';
import { type NodeErrors, type PromptError, promptError } from './prompt-error.ts';
import { traceback } from './traceback.ts';
import { InputValidator, type InputValidatorOptions } from './validate-inputs.ts';
import { isSince } from './version.ts';

/** With `error` nothing may run; else these outputs of the graph. Node errors come with both. */
type Validation = { readonly nodeErrors: Record<string, NodeErrors> } & (
  | { readonly error: PromptError }
  | { readonly error?: undefined; readonly graph: Prompt; readonly outputs: readonly string[] }
);

interface ValidatorOptions extends InputValidatorOptions {
  readonly log: Log;
}

const refused = (error: PromptError): Validation => ({ error, nodeErrors: {} });

/**
 * Validates a prompt as `POST /prompt` does: outputs that fail are dropped, the rest may run. Coerces values in place.
 * Throws where the real server answers 500, on things that are no graph at all.
 */
export async function validatePrompt(
  prompt: unknown,
  targets: readonly string[] | undefined,
  options: ValidatorOptions,
): Promise<Validation> {
  const { nodes, world, log } = options;
  const unknown = findUnknownNode(prompt, nodes, world.simulation.version);
  if (unknown !== undefined) return refused(unknown);
  const graph = prompt as Prompt;
  const wanted = Object.keys(graph).filter(
    (id) => nodes.get(graph[id]?.class_type as string)?.outputNode && (targets === undefined || targets.includes(id)),
  );
  if (wanted.length === 0) return refused(promptError('prompt_no_outputs', 'Prompt has no outputs'));

  const validator = new InputValidator(graph, options);
  const good: string[] = [];
  const details: string[] = [];
  const nodeErrors: Record<string, NodeErrors> = {};
  for (const output of wanted) {
    const errors = await validateOutput(validator, output);
    if (errors === undefined) {
      good.push(output);
      continue;
    }
    log.error(`Failed to validate prompt for output ${output}:`);
    for (const { message, details: detail } of errors)
      log.error(`* ${graph[output]?.class_type} ${output}:\n  - ${message}: ${detail}`);
    log.error('Output will be ignored');
    details.push(...errors.map((error) => `${error.message}: ${error.details}`));
    for (const [id, found] of validator.failures()) {
      nodeErrors[id] ??= { errors: found, dependent_outputs: [], class_type: graph[id]?.class_type as string };
      nodeErrors[id].dependent_outputs.push(output);
    }
  }
  if (good.length > 0) return { graph, outputs: good, nodeErrors };
  const error = promptError('prompt_outputs_failed_validation', 'Prompt outputs failed validation', details.join('\n'));
  return { error, nodeErrors };
}

/** The output's own errors, or undefined when it and all before it are fine. */
async function validateOutput(validator: InputValidator, output: string): Promise<readonly PromptError[] | undefined> {
  try {
    return (await validator.validate(output)) ? undefined : validator.errorsOf(output);
  } catch (error) {
    if (!(error instanceof PythonError)) throw error;
    const found = promptError('exception_during_validation', 'Exception when validating node', error.message, {
      exception_type: error.type,
      traceback: traceback('execution.py', 1184, 'validate_prompt'),
    });
    validator.fail(output, [found]);
    return [found];
  }
}

function findUnknownNode(
  prompt: unknown,
  nodes: ReadonlyMap<string, NodeClass>,
  version: string,
): PromptError | undefined {
  if (prompt === null || typeof prompt !== 'object' || Array.isArray(prompt))
    throw new PythonError('TypeError', 'prompt is not a dictionary');
  const newStyle = isSince(version, '0.12.0');
  for (const [id, node] of Object.entries(prompt as Prompt)) {
    if (node === null || typeof node !== 'object') throw new PythonError('TypeError', `node ${id} is not a dictionary`);
    const details = `Node ID '#${id}'`;
    const title = node._meta?.title ?? null;
    if (!('class_type' in node)) {
      if (!newStyle)
        return promptError(
          'invalid_prompt',
          'Cannot execute because a node is missing the class_type property.',
          details,
        );
      const message = `Node '${title ?? `ID #${id}`}' has no class_type. The workflow may be corrupted or a custom node is missing.`;
      return promptError('missing_node_type', message, details, { node_id: id, class_type: null, node_title: title });
    }
    if (nodes.has(node.class_type)) continue;
    if (!newStyle)
      return promptError('invalid_prompt', `Cannot execute because node ${node.class_type} does not exist.`, details);
    const name = title ?? node.class_type;
    const message = `Node '${name}' not found. The custom node may not be installed.`;
    return promptError('missing_node_type', message, details, {
      node_id: id,
      class_type: node.class_type,
      node_title: name,
    });
  }
  return undefined;
}
