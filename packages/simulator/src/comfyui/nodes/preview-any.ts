import { pyStr } from '../../python/values.ts';
import type { NodeClass } from './node.ts';

export const previewAny: NodeClass = {
  name: 'PreviewAny',
  displayName: 'Preview as Text',
  category: 'utilities',
  description: 'Preview any input value as text.',
  module: 'comfy_extras.nodes_preview_any',
  outputNode: true,
  outputs: ['STRING'],
  inputs: () => ({ required: { source: ['*', {}] } }),
  run({ source }) {
    const isJson = source !== null && typeof source === 'object' && !('kind' in source);
    const text = isJson ? JSON.stringify(source, undefined, 4) : pyStr(source);
    return { outputs: [text], ui: { text: [text] } };
  },
};
