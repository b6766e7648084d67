import { PythonError, pyFloat, pyInt, pyRepr, pyStr } from '../python/values.ts';
import { isLink, type Prompt, unwrap } from './graph.ts';
import type { InputSpec, NodeClass, NodeWorld } from './nodes/node.ts';
import { type PromptError, promptError } from './prompt-error.ts';
import { traceback } from './traceback.ts';
import { isSince } from './version.ts';

export interface InputValidatorOptions {
  readonly nodes: ReadonlyMap<string, NodeClass>;
  readonly world: NodeWorld;
}

/** Checks nodes from an output backwards, each once; what a node itself got wrong is kept per node. */
export class InputValidator {
  readonly #graph: Prompt;
  readonly #options: InputValidatorOptions;
  readonly #results = new Map<string, { valid: boolean; errors: readonly PromptError[] }>();
  readonly #path: string[] = [];

  constructor(graph: Prompt, options: InputValidatorOptions) {
    this.#graph = graph;
    this.#options = options;
  }

  /** Nodes with errors of their own; what merely lies downstream is not among them. */
  failures(): [id: string, errors: readonly PromptError[]][] {
    return [...this.#results]
      .filter(([, result]) => result.errors.length > 0)
      .map(([id, result]) => [id, result.errors]);
  }

  errorsOf(id: string): readonly PromptError[] {
    return this.#results.get(id)?.errors ?? [];
  }

  fail(id: string, errors: readonly PromptError[]): void {
    this.#results.set(id, { valid: false, errors });
  }

  async validate(id: string): Promise<boolean> {
    const known = this.#results.get(id);
    if (known !== undefined) return known.valid;
    if (this.#path.includes(id)) return this.#failCycle(id);
    this.#path.push(id);
    try {
      const { valid, errors } = await this.#check(id);
      // A cycle found further up has already judged this node.
      if (!this.#results.has(id)) this.#results.set(id, { valid: valid && errors.length === 0, errors });
      return this.#results.get(id)?.valid ?? false;
    } finally {
      this.#path.pop();
    }
  }

  #failCycle(id: string): false {
    const cycle = this.#path.slice(this.#path.indexOf(id));
    const named = [...cycle, id].map((node) => `${node} (${this.#graph[node]?.class_type})`).join(' -> ');
    const silent = !isSince(this.#options.world.simulation.version, '0.20.0');
    for (const node of cycle) {
      this.fail(
        node,
        silent
          ? []
          : [
              promptError('dependency_cycle', 'Dependency cycle detected', named, {
                node_id: node,
                cycle_nodes: cycle,
              }),
            ],
      );
    }
    return false;
  }

  async #check(id: string): Promise<{ valid: boolean; errors: PromptError[] }> {
    const node = this.#graph[id] as Prompt[string];
    const nodeClass = this.#options.nodes.get(node.class_type) as NodeClass;
    if (node.inputs === undefined) throw new PythonError('KeyError', "'inputs'");
    const { required, optional = {} } = nodeClass.inputs(this.#options.world);
    const errors: PromptError[] = [];
    let valid = true;
    for (const [name, spec] of Object.entries({ ...required, ...optional })) {
      if (!(name in node.inputs)) {
        if (name in required)
          errors.push(promptError('required_input_missing', 'Required input is missing', name, { input_name: name }));
        continue;
      }
      const value = node.inputs[name];
      if (isLink(value)) {
        const result = await this.#checkLink(name, spec, value);
        if (result !== true) valid = false;
        if (typeof result === 'object') errors.push(result);
      } else {
        const error = checkValue(node.inputs, name, spec, nodeClass);
        if (error !== undefined) errors.push(error);
      }
    }
    errors.push(...(await this.#checkCustom(nodeClass, node.inputs)));
    return { valid, errors };
  }

  async #checkLink(name: string, spec: InputSpec, link: readonly unknown[]): Promise<PromptError | boolean> {
    const about = { input_name: name, input_config: config(spec) };
    if (link.length !== 2) {
      return promptError(
        'bad_linked_input',
        'Bad linked input, must be a length-2 list of [node_id, slot_index]',
        name,
        { ...about, received_value: link },
      );
    }
    const [from, slot] = link;
    const source = typeof from === 'string' ? this.#graph[from] : undefined;
    if (source === undefined) throw new PythonError('KeyError', pyRepr(from));
    const received = outputType(this.#options.nodes.get(source.class_type)?.outputs ?? [], slot);
    if (!isAccepted(received, spec[0])) {
      const wanted = pyStr(spec[0]);
      const details = `${name}, received_type(${received}) mismatch input_type(${wanted})`;
      return promptError('return_type_mismatch', 'Return type mismatch between linked nodes', details, {
        ...about,
        received_type: received,
        linked_node: link,
      });
    }
    try {
      return await this.validate(from as string);
    } catch (error) {
      if (!(error instanceof PythonError)) throw error;
      const found = promptError(
        'exception_during_inner_validation',
        'Exception when validating inner node',
        error.message,
        {
          ...about,
          exception_message: error.message,
          exception_type: error.type,
          traceback: traceback('execution.py', 955, 'validate_inputs'),
          linked_node: link,
        },
      );
      this.fail(from as string, [found]);
      return false;
    }
  }

  async #checkCustom({ validate }: NodeClass, inputs: Record<string, unknown>): Promise<PromptError[]> {
    if (validate === undefined || validate.names.some((name) => isLink(inputs[name]) || !(name in inputs))) return [];
    const result = await validate.check(inputs, this.#options.world);
    if (result === true) return [];
    return validate.names.map((name) =>
      promptError('custom_validation_failed', 'Custom validation failed for node', `${name} - ${result}`, {
        input_name: name,
      }),
    );
  }
}

const config = ([type, extra = {}]: InputSpec) => [type, extra];

function outputType(outputs: readonly string[], slot: unknown): string {
  if (typeof slot !== 'number') throw new PythonError('TypeError', 'tuple indices must be integers or slices, not str');
  const type = outputs.at(slot);
  if (type === undefined) throw new PythonError('IndexError', 'tuple index out of range');
  return type;
}

function isAccepted(received: string, wanted: InputSpec[0]): boolean {
  if (received === '*' || wanted === '*') return true;
  return typeof wanted === 'string' && wanted.split(',').includes(received);
}

/** Coerces one literal in place and checks it. */
function checkValue(
  inputs: Record<string, unknown>,
  name: string,
  spec: InputSpec,
  nodeClass: NodeClass,
): PromptError | undefined {
  const about = { input_name: name, input_config: config(spec) };
  const [type, extra = {}] = spec;
  const value = unwrap(inputs[name]);
  inputs[name] = value;
  try {
    if (type === 'INT') inputs[name] = pyInt(value);
    else if (type === 'FLOAT') inputs[name] = pyFloat(value);
    else if (type === 'STRING') inputs[name] = pyStr(value);
    else if (type === 'BOOLEAN') inputs[name] = Boolean(value);
  } catch (error) {
    if (!(error instanceof PythonError)) throw error;
    const details = `${name}, ${pyStr(value)}, ${error.message}`;
    return promptError('invalid_input_type', `Failed to convert an input value to a ${String(type)} value`, details, {
      ...about,
      received_value: value,
      exception_message: error.message,
    });
  }
  if (nodeClass.validate?.names.includes(name)) return undefined;
  return (
    checkRange(inputs[name], spec, about) ?? checkOptions(inputs[name], type === 'COMBO' ? extra.options : type, about)
  );
}

function checkRange(
  value: unknown,
  [type, extra = {}]: InputSpec,
  about: { input_name: string },
): PromptError | undefined {
  if (typeof value !== 'number') return undefined;
  const show = (number: number) => (type === 'FLOAT' && Number.isInteger(number) ? `${number}.0` : String(number));
  const { min, max } = extra as { min?: number; max?: number };
  if (min !== undefined && value < min) {
    return promptError(
      'value_smaller_than_min',
      `Value ${show(value)} smaller than min of ${show(min)}`,
      about.input_name,
      { ...about, received_value: value },
    );
  }
  if (max !== undefined && value > max) {
    return promptError(
      'value_bigger_than_max',
      `Value ${show(value)} bigger than max of ${show(max)}`,
      about.input_name,
      { ...about, received_value: value },
    );
  }
  return undefined;
}

function checkOptions(
  value: unknown,
  options: unknown,
  about: { input_name: string; input_config: unknown },
): PromptError | undefined {
  if (!Array.isArray(options) || options.includes(value)) return undefined;
  const long = options.length > 20;
  const list = long ? `(list of length ${options.length})` : pyRepr(options);
  return promptError(
    'value_not_in_list',
    'Value not in list',
    `${about.input_name}: '${pyStr(value)}' not in ${list}`,
    {
      input_name: about.input_name,
      input_config: long ? null : about.input_config,
      received_value: value,
    },
  );
}
