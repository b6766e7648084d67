import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ignore, writeFileAtomically } from '@mgpu/core';
import {
  type ApplyOptions,
  addNode,
  applyToSite,
  type CustomNodesConfig,
  emptyLock,
  ListEntryUnknownError,
  listPath,
  type NodeEntry,
  type NodeList,
  NodeManager,
  type NodesReport,
  nodesLockText,
  packNameOf,
  readNodeList,
  readNodesLock,
  readSnapshot,
  removeNode,
  setEnabled,
} from '@mgpu/custom-nodes';
import { ListMissingError, SnapshotDiffersError } from '../errors.ts';
import { GenerationSite } from '../generation-site.ts';
import { ollamaVariables } from '../ollama-variables.ts';
import { nodesListText, planText, reportText } from '../print/nodes-view.ts';
import { SetupView } from '../print/setup-view.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';
import { openComfyUI } from './open-comfyui.ts';

export interface ApplyFlags {
  /** True: the lock that is here; else the file of another. */
  readonly locked?: boolean | string | undefined;
  readonly force?: boolean | undefined;
  readonly prune?: boolean | undefined;
  readonly retry?: boolean | undefined;
}

/** What an apply would do. */
export async function nodesPlan(context: CommandContext, flags: ApplyFlags): Promise<ExitCode> {
  await using nodes = await openNodes(context);
  const manager = new NodeManager(await nodes.site('').current(), nodes.options);
  const plan = await manager.plan(await nodes.readList(), optionsOf(flags));
  context.output.data('NodesPlan', plan);
  context.output.line(planText(plan));
  return exitCodes.done;
}

/** Brings the custom nodes to what the list says. */
export async function nodesApply(context: CommandContext, flags: ApplyFlags): Promise<ExitCode> {
  await using nodes = await openNodes(context);
  return await nodes.apply(await nodes.readList(), optionsOf(flags));
}

/** Everything that lies among the custom nodes. */
export async function nodesLs(context: CommandContext): Promise<ExitCode> {
  await using nodes = await openNodes(context);
  const installed = await new NodeManager(await nodes.site('').current(), nodes.options).list();
  context.output.data('Nodes', installed);
  context.output.line(nodesListText(installed));
  return exitCodes.done;
}

/** The lock as it is: for another machine. */
export async function nodesLock(context: CommandContext): Promise<ExitCode> {
  await using nodes = await openNodes(context);
  const lock = new NodeManager(await nodes.site('').current(), nodes.options).lock() ?? emptyLock;
  context.output.data('NodesLock', lock);
  context.output.line(nodesLockText(lock).trimEnd());
  return exitCodes.done;
}

export interface AddFlags {
  readonly name?: string | undefined;
  readonly branch?: string | undefined;
  readonly commit?: string | undefined;
  readonly recursive?: boolean | undefined;
  readonly requirements?: boolean | undefined;
  readonly installScript?: boolean | undefined;
}

/** Adds a pack to the list and to the machine; when it fails, to neither. */
export async function nodesAdd(context: CommandContext, url: string, flags: AddFlags): Promise<ExitCode> {
  const { name = packNameOf(url), branch, commit, recursive, requirements, installScript } = flags;
  const entry: NodeEntry = {
    name,
    url,
    ...(branch === undefined ? {} : { branch }),
    ...(commit === undefined ? {} : { commit }),
    ...(recursive ? { recursive } : {}),
    ...(requirements === false ? { requirements } : {}),
    ...(installScript ? { install_script: true } : {}),
  };
  return edit(context, [name], (text) => addNode(text, entry));
}

/** Takes packs out of the list and off the machine. */
export async function nodesRemove(context: CommandContext, names: readonly string[]): Promise<ExitCode> {
  return edit(context, names, (text) => names.reduce(removeNode, text), { prune: true });
}

export async function nodesSetEnabled(
  context: CommandContext,
  names: readonly string[],
  enabled: boolean,
): Promise<ExitCode> {
  return edit(context, names, (text) => names.reduce((rest, name) => setEnabled(rest, name, enabled), text));
}

/** Brings packs to the newest commit that their entry allows; all of them without names. */
export async function nodesUpdate(context: CommandContext, names: readonly string[]): Promise<ExitCode> {
  await using nodes = await openNodes(context);
  const list = await nodes.readList();
  const unknown = names.find((name) => !list.entries.some((each) => each.name === name));
  if (unknown !== undefined)
    throw new ListEntryUnknownError({ name: unknown, known: list.entries.map(({ name }) => name) });
  const entries = names.length === 0 ? list.entries : list.entries.filter(({ name }) => names.includes(name));
  return await nodes.apply({ ...list, entries }, { update: 'all' });
}

/** Restores a snapshot of ComfyUI-Manager: its commits, and says what else differs. Throws `MACHINE_SNAPSHOT_DIFFERS`. */
export async function nodesRestore(context: CommandContext, path: string): Promise<ExitCode> {
  await using nodes = await openNodes(context);
  const snapshot = readSnapshot(await readFile(path, 'utf8'), path);
  const code = await nodes.apply(snapshot.list, { prune: true }, snapshot.engine);
  const differences = await new NodeManager(await nodes.site('').current(), nodes.options).differences(snapshot);
  if (differences.length > 0) throw new SnapshotDiffersError({ path, differences });
  return code;
}

/** Changes the list only when the machine has followed; tells of the named nodes, and of what was done. */
async function edit(
  context: CommandContext,
  names: readonly string[],
  change: (text: string) => string,
  options: ApplyOptions = {},
): Promise<ExitCode> {
  await using nodes = await openNodes(context);
  const text = change((await nodes.readText()) ?? emptyList);
  const report = await nodes.bring(readNodeList(text, nodes.path), { ...options, update: 'missing' });
  // What else failed is what failed before; what else was done could be done only now.
  const concerned = report.nodes.filter(({ name, status }) => names.includes(name) || status === 'done');
  const failed = concerned.filter(({ status }) => status === 'failed');
  if (failed.length === 0) {
    await mkdir(dirname(nodes.path), { recursive: true });
    // Somebody may have edited it meanwhile.
    await writeFileAtomically(nodes.path, change((await nodes.readText()) ?? emptyList), 0o644);
  }
  const isTold = concerned.some(({ status }) => status !== 'skipped');
  nodes.tell({ ...report, nodes: concerned, warnings: [], summary: isTold ? '' : 'nothing to do' });
  return failed.length > 0 ? exitCodes.failed : exitCodes.done;
}

const emptyList = `${JSON.stringify({ custom_nodes: [] }, null, 2)}\n`;

const optionsOf = ({ locked, force, prune, retry }: ApplyFlags): ApplyOptions => ({
  ...(locked ? { locked: locked === true || readNodesLock(locked) } : {}),
  ...(force ? { force } : {}),
  ...(prune ? { prune } : {}),
  ...(retry ? { retry } : {}),
});

async function openNodes(context: CommandContext) {
  const { output, interrupted } = context;
  const machine = await openComfyUI(context);
  const { settings } = machine;
  const config = settings.config.services['custom-nodes'] as unknown as CustomNodesConfig;
  const path = listPath(config, settings);
  const view = new SetupView(output);
  const { allow, scripts, concurrency, attempts } = config;
  // Without a log: what becomes of each node is in the report.
  const { env } = machine.common;
  // What a list asks for by name its nodes get, also what has become configuration and no other process sees.
  const variables = { ...settings.env, ...ollamaVariables(settings.config, settings.env) };
  const options = { env, variables, allow, scripts, concurrency, attempts, signal: interrupted };
  const site = (request: string, commit?: string) =>
    new GenerationSite({
      ...machine.common,
      request,
      commit,
      signal: interrupted,
      onProgress: (progress) => view.step(progress),
      onInstance: (progress) => view.instance(progress),
    });
  const readText = () => readFile(path, 'utf8').catch(ignore('ENOENT'));
  return {
    path,
    options,
    site,
    readText,
    async readList(): Promise<NodeList> {
      const text = await readText();
      if (text === undefined) throw new ListMissingError({ path });
      return readNodeList(text, path);
    },
    async bring(list: NodeList, how: ApplyOptions, commit?: string): Promise<NodesReport & { generation?: string }> {
      const request = createHash('sha256')
        .update(JSON.stringify([list, how, commit]))
        .digest('hex');
      const here = site(request, commit);
      const all: ApplyOptions = {
        ...how,
        onProgress: ({ message }) => view.step({ step: 'nodes', state: 'running', detail: message }),
      };
      const { recipe } = await machine.store.expectCurrent();
      const report =
        commit === undefined || commit === recipe.commit
          ? await applyToSite(here, list, options, all)
          : // Another engine is a change even where the nodes are none.
            await here.change(async (target) => ({
              result: await new NodeManager(target, options).apply(list, all),
              isChanged: true,
            }));
      view.end();
      return { ...report, ...(here.made ? { generation: here.made.id } : {}) };
    },
    tell(report: NodesReport): void {
      output.data('NodesReport', report);
      output.line(reportText(report));
    },
    async apply(list: NodeList, how: ApplyOptions, commit?: string): Promise<ExitCode> {
      const report = await this.bring(list, how, commit);
      this.tell(report);
      const isFailed = report.outcome === 'failed' || report.outcome === 'partly failed';
      return isFailed ? exitCodes.partly : exitCodes.done;
    },
    [Symbol.asyncDispose]: () => machine[Symbol.asyncDispose](),
  };
}
