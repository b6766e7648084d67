import { basename } from 'node:path';
import type { Pack } from '../pack.ts';
import { saveAnimatedWebp } from './animation.ts';
import { emptyImage, imageInvert, imageScale, imageScaleBy } from './image.ts';
import { imageBlend } from './image-blend.ts';
import { loadImage, loadImageMask } from './load.ts';
import { maskToImage, solidMask } from './mask.ts';
import type { NodeClass, NodeWorld } from './node.ts';
import { previewAny } from './preview-any.ts';
import {
  checkpointLoaderSimple,
  clipTextEncode,
  emptyLatentImage,
  kSampler,
  vaeDecode,
  vaeEncode,
} from './sampling.ts';
import { previewImage, saveImage, saveImageWebsocket } from './save.ts';
import { slowNode } from './slow.ts';

const CUSTOM = 'custom_nodes.';

const all: readonly NodeClass[] = [
  kSampler,
  checkpointLoaderSimple,
  clipTextEncode,
  vaeDecode,
  vaeEncode,
  emptyLatentImage,
  saveImage,
  previewImage,
  loadImage,
  loadImageMask,
  imageScale,
  imageScaleBy,
  imageInvert,
  emptyImage,
  imageBlend,
  solidMask,
  maskToImage,
  saveImageWebsocket,
  saveAnimatedWebp,
  previewAny,
  slowNode,
];

/** The simulated node classes by name: the built-in ones, and those of the custom nodes that were loaded. */
export function nodeClasses(packs: readonly Pack[]): ReadonlyMap<string, NodeClass> {
  const loaded = new Set(packs.map(({ path }) => CUSTOM + basename(path, '.py')));
  const present = all.filter(({ module }) => !module?.startsWith(CUSTOM) || loaded.has(module));
  return new Map([...present, ...packs.flatMap(({ nodes }) => nodes)].map((node) => [node.name, node]));
}

/** One entry of `GET /object_info`. */
export function objectInfo(node: NodeClass, world: NodeWorld): Record<string, unknown> {
  const input = node.inputs(world);
  return {
    input,
    input_order: Object.fromEntries(Object.entries(input).map(([kind, specs]) => [kind, Object.keys(specs as object)])),
    is_input_list: false,
    output: node.outputs,
    output_is_list: node.outputs.map(() => false),
    output_name: node.outputNames ?? node.outputs,
    name: node.name,
    display_name: node.displayName,
    description: node.description ?? '',
    python_module: node.module ?? 'nodes',
    category: node.category,
    output_node: node.outputNode ?? false,
    has_intermediate_output: false,
    ...node.info,
  };
}
